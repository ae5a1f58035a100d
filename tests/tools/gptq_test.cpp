#include "ridgeline/tools/ptq/gptq.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "ridgeline/quant/block_format.h"
#include "ridgeline/quant/block_grid.h"
#include "ridgeline/tools/ptq/gptq_factor.h"

namespace ridgeline::ptq {
namespace {

std::vector<float> random_values(std::int64_t n, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& v : values) v = normal(random);
  return values;
}

std::unique_ptr<LinearAlgebra> make_algebra(int threads = 2) {
  return *LinearAlgebra::create(threads, false);
}

/// Inputs as layers have them: a few directions carry most, some inputs are driven ten times as
/// much as others.
std::vector<float> correlated_inputs(std::int64_t rows, std::int64_t cols, std::uint32_t seed) {
  constexpr std::int64_t kDirections = 24;
  const auto mix = random_values(kDirections * cols, seed);
  const auto hidden = random_values(rows * kDirections, seed + 1);
  const auto gains = random_values(cols, seed + 2);
  auto x = random_values(rows * cols, seed + 3);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < cols; ++c) {
      float& v = x[static_cast<std::size_t>(r * cols + c)];
      v *= 0.5F;
      for (std::int64_t d = 0; d < kDirections; ++d)
        v += 0.5F * hidden[static_cast<std::size_t>(r * kDirections + d)] *
             mix[static_cast<std::size_t>(d * cols + c)];
      v *= std::exp(gains[static_cast<std::size_t>(c)]);
    }
  return x;
}

Hessian hessian_of(std::vector<float>& x, std::int64_t cols, LinearAlgebra& algebra) {
  Hessian h = *Hessian::make(cols);
  const auto rows = static_cast<std::int64_t>(x.size()) / cols;
  EXPECT_TRUE(algebra.add_outer_products(Matrix{x.data(), rows, cols, cols}, h));
  algebra.finish(h);
  return h;
}

Hessian identity(std::int64_t cols, float scale = 1.0F) {
  Hessian h = *Hessian::make(cols);
  for (std::int64_t i = 0; i < cols; ++i) h.data()[i * cols + i] = scale;
  h.added(1);
  return h;
}

std::vector<float> decoded(DType type, const std::vector<std::byte>& blocks, std::int64_t n) {
  std::vector<float> w(static_cast<std::size_t>(n));
  decode(type, blocks.data(), n, w.data());
  return w;
}

std::vector<std::byte> quantize(Gptq& gptq, const std::vector<float>& w, std::int64_t rows,
                                DType type, TensorQuality* quality = nullptr) {
  const auto cols = static_cast<std::int64_t>(w.size()) / rows;
  std::vector<std::byte> blocks(row_bytes(type, cols) * static_cast<std::size_t>(rows));
  TensorQuality ignored;
  EXPECT_TRUE(gptq.quantize(w, rows, type, blocks.data(), quality != nullptr ? *quality : ignored));
  return blocks;
}

/// Σ |(w - ŵ) x|² over the rows of w and x.
double output_error(const std::vector<float>& w, const std::vector<float>& rounded,
                    const std::vector<float>& x, std::int64_t cols) {
  double sum = 0;
  const auto rows = static_cast<std::int64_t>(w.size()) / cols;
  const auto samples = static_cast<std::int64_t>(x.size()) / cols;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t s = 0; s < samples; ++s) {
      float y = 0;
      for (std::int64_t c = 0; c < cols; ++c)
        y += (w[static_cast<std::size_t>(r * cols + c)] -
              rounded[static_cast<std::size_t>(r * cols + c)]) *
             x[static_cast<std::size_t>(s * cols + c)];
      sum += static_cast<double>(y) * static_cast<double>(y);
    }
  return sum;
}

TEST(Gptq, RoundsToNearestWhereInputsAreIndependent) {
  auto algebra = make_algebra();
  constexpr std::int64_t kRows = 21, kCols = 512;
  const auto w = random_values(kRows * kCols, 1);
  for (const DType type : {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ8_0, DType::kIQ4_NL,
                           DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    GptqOptions options;
    options.refinements = 0;
    auto gptq = *Gptq::prepare(identity(kCols, 3.0F), options, *algebra, "w");
    TensorQuality quality;
    const auto blocks = quantize(*gptq, w, kRows, type, &quality);
    std::vector<std::byte> expected(blocks.size());
    const std::vector<float> ones(kCols, 3.03F);
    for (std::int64_t r = 0; r < kRows; ++r)
      encode_weighted(type, w.data() + r * kCols, ones.data(), kCols,
                      expected.data() + static_cast<std::size_t>(r) * row_bytes(type, kCols));
    EXPECT_EQ(blocks, expected) << name(type);

    TensorQuality seen;
    seen.add(w, decoded(type, blocks, kRows * kCols));
    EXPECT_EQ(quality.elements, seen.elements);
    // Decoders round in an order of their own.
    EXPECT_NEAR(quality.noise, seen.noise, 1e-6 * seen.noise);
    EXPECT_NEAR(quality.max_error, seen.max_error, 1e-6);
  }
}

/// GPTQ as its paper has it (section 3, after OBQ): the inverse of the whole Hessian, from which
/// each rounded input is eliminated. Doubles.
class PaperGptq {
 public:
  PaperGptq(const Hessian& h, const GptqOptions& options, std::int64_t block)
      : n_(h.cols()),
        group_(block),
        inverse_(static_cast<std::size_t>(n_ * n_)),
        diagonal_(idx(n_)) {
    double mean = 0;
    for (std::int64_t i = 0; i < n_; ++i)
      mean += static_cast<double>(h.data()[i * n_ + i]) / static_cast<double>(n_);
    std::vector<double> a(idx(n_ * n_));
    std::vector<float> undamped(idx(n_));
    for (std::int64_t i = 0; i < n_; ++i) {
      for (std::int64_t j = 0; j < n_; ++j)
        a[idx(i * n_ + j)] = static_cast<double>(h.data()[i * n_ + j]);
      undamped[idx(i)] = h.data()[i * n_ + i];
      a[idx(i * n_ + i)] += options.damping * mean;
      diagonal_[idx(i)] = static_cast<float>(a[idx(i * n_ + i)]);
    }
    invert(a);
    order_ = rounding_order(undamped, block);
    std::ranges::reverse(order_);
    if (!options.act_order)
      for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<std::int32_t>(i);
  }

  std::vector<float> round(const float* row, const GridFormat& format) const {
    std::vector<double> w(row, row + n_);
    std::vector<double> inverse = inverse_;
    std::vector<float> out(idx(n_));
    std::vector<BlockGrid> grids(idx(n_ / format.block_elements));
    std::vector<bool> fitted(idx(n_ / group_));
    for (const std::int32_t q : order_) {
      const std::int64_t group = q / group_;
      if (!fitted[idx(group)]) {
        fitted[idx(group)] = true;
        for (std::int64_t first = group * group_; first < (group + 1) * group_;
             first += format.block_elements) {
          const std::vector<float> now(w.begin() + first,
                                       w.begin() + first + format.block_elements);
          format.fit(now.data(), diagonal_.data() + first,
                     grids[idx(first / format.block_elements)]);
        }
      }
      const BlockGrid& grid = grids[idx(q / format.block_elements)];
      const int sub = q % format.block_elements / format.sub_elements;
      const double pivot = inverse[idx(q * n_ + q)];
      out[idx(q)] =
          format.value(grid, sub, format.nearest(grid, sub, static_cast<float>(w[idx(q)])));
      const double error = (w[idx(q)] - static_cast<double>(out[idx(q)])) / pivot;
      for (std::int64_t j = 0; j < n_; ++j) w[idx(j)] -= error * inverse[idx(q * n_ + j)];
      const std::vector<double> eliminated(inverse.begin() + q * n_, inverse.begin() + q * n_ + n_);
      for (std::int64_t i = 0; i < n_; ++i)
        for (std::int64_t j = 0; j < n_; ++j)
          inverse[idx(i * n_ + j)] -= eliminated[idx(i)] * eliminated[idx(j)] / pivot;
    }
    return out;
  }

 private:
  static std::size_t idx(std::int64_t i) { return static_cast<std::size_t>(i); }
  void invert(std::vector<double> a) {
    for (std::int64_t i = 0; i < n_; ++i) inverse_[idx(i * n_ + i)] = 1;
    for (std::int64_t p = 0; p < n_; ++p) {  // Gauss-Jordan
      const double pivot = a[idx(p * n_ + p)];
      for (std::int64_t j = 0; j < n_; ++j) {
        a[idx(p * n_ + j)] /= pivot;
        inverse_[idx(p * n_ + j)] /= pivot;
      }
      for (std::int64_t i = 0; i < n_; ++i) {
        const double f = a[idx(i * n_ + p)];
        if (i == p || f == 0) continue;
        for (std::int64_t j = 0; j < n_; ++j) {
          a[idx(i * n_ + j)] -= f * a[idx(p * n_ + j)];
          inverse_[idx(i * n_ + j)] -= f * inverse_[idx(p * n_ + j)];
        }
      }
    }
  }

  std::int64_t n_, group_;
  std::vector<double> inverse_;
  std::vector<float> diagonal_;
  std::vector<std::int32_t> order_;
};

TEST(Gptq, IsWhatThePaperSays) {
  auto algebra = make_algebra();
  struct Case {
    std::int64_t cols, rows;
    DType type;
    bool act_order;
  };
  // Widths below a batch, of a batch, of several and of a part; rows that fill no tile.
  for (const Case& c : {Case{32, 5, DType::kQ4_0, true}, Case{96, 33, DType::kQ4_1, true},
                        Case{288, 7, DType::kQ4_0, true}, Case{288, 7, DType::kQ8_0, false},
                        Case{256, 3, DType::kQ4_K, true}, Case{512, 2, DType::kQ4_K, true},
                        Case{256, 17, DType::kIQ4_NL, false}}) {
    auto x = correlated_inputs(400, c.cols, 11);
    const auto w = random_values(c.rows * c.cols, 12);
    GptqOptions options;
    options.act_order = c.act_order;
    options.refinements = 0;
    const Hessian h = hessian_of(x, c.cols, *algebra);
    const std::int64_t block = c.cols % 256 == 0 ? 256 : 32;
    const PaperGptq paper(h, options, block);
    auto gptq = *Gptq::prepare(hessian_of(x, c.cols, *algebra), options, *algebra, "w");
    const auto ours = decoded(c.type, quantize(*gptq, w, c.rows, c.type), c.rows * c.cols);
    // One value between two levels that falls to the other side takes what follows with it, so
    // rows are counted, and errors compared.
    int same_rows = 0;
    std::vector<float> papers;
    for (std::int64_t r = 0; r < c.rows; ++r) {
      const auto row = paper.round(w.data() + r * c.cols, *grid_format(c.type));
      papers.insert(papers.end(), row.begin(), row.end());
      same_rows += std::equal(row.begin(), row.end(), ours.begin() + r * c.cols) ? 1 : 0;
    }
    EXPECT_GE(same_rows, c.rows - c.rows / 4) << name(c.type) << " " << c.cols;
    EXPECT_NEAR(output_error(w, ours, x, c.cols) / output_error(w, papers, x, c.cols), 1, 0.03);
  }
}

TEST(Gptq, OutputsLoseLessThanByRoundingToNearest) {
  auto algebra = make_algebra();
  constexpr std::int64_t kRows = 48, kCols = 512;
  auto x = correlated_inputs(900, kCols, 21);
  const auto unseen = correlated_inputs(900, kCols, 21);
  const auto w = random_values(kRows * kCols, 22);
  for (const DType type : {DType::kQ4_0, DType::kQ4_1, DType::kQ4_K, DType::kQ8_0, DType::kQ3_K,
                           DType::kQ6_K, DType::kIQ4_NL}) {
    auto gptq = *Gptq::prepare(hessian_of(x, kCols, *algebra), {}, *algebra, "w");
    const auto ours = decoded(type, quantize(*gptq, w, kRows, type), kRows * kCols);
    std::vector<std::byte> nearest(row_bytes(type, kCols) * kRows);
    for (std::int64_t r = 0; r < kRows; ++r)
      encode_weighted(type, w.data() + r * kCols, gptq->importance().data(), kCols,
                      nearest.data() + static_cast<std::size_t>(r) * row_bytes(type, kCols));
    const double gptq_error = output_error(w, ours, unseen, kCols);
    const double nearest_error =
        output_error(w, decoded(type, nearest, kRows * kCols), unseen, kCols);
    EXPECT_LT(gptq_error, 0.6 * nearest_error) << name(type);
  }
}

TEST(Gptq, RefinementsLowerTheErrorOfEveryRow) {
  auto algebra = make_algebra();
  constexpr std::int64_t kRows = 19, kCols = 512;
  auto x = correlated_inputs(900, kCols, 61);
  const auto w = random_values(kRows * kCols, 62);
  for (const DType type : {DType::kQ4_0, DType::kQ4_1, DType::kQ4_K, DType::kQ8_0, DType::kQ3_K,
                           DType::kQ6_K, DType::kIQ4_NL}) {
    std::vector<double> before;
    for (const int refinements : {0, 1, 3}) {
      GptqOptions options;
      options.refinements = refinements;
      options.damping = 1e-4;  // what falls is the damped error, nearly the one below
      auto gptq = *Gptq::prepare(hessian_of(x, kCols, *algebra), options, *algebra, "w");
      const auto rounded = decoded(type, quantize(*gptq, w, kRows, type), kRows * kCols);
      std::vector<double> errors;
      double sum = 0, sum_before = 0;
      for (std::int64_t r = 0; r < kRows; ++r) {
        const auto row = [&](const std::vector<float>& m) {
          return std::vector<float>(m.begin() + r * kCols, m.begin() + (r + 1) * kCols);
        };
        errors.push_back(output_error(row(w), row(rounded), x, kCols));
        sum += errors.back();
        if (before.empty()) continue;
        sum_before += before[static_cast<std::size_t>(r)];
        EXPECT_LT(errors.back(), 1.01 * before[static_cast<std::size_t>(r)]) << name(type);
      }
      if (!before.empty()) {
        EXPECT_LT(sum, sum_before) << name(type);
      }
      before = errors;
    }
  }
}

TEST(Gptq, WeightsAreChangedToGiveWhatOutputsLack) {
  auto algebra = make_algebra();
  constexpr std::int64_t kRows = 6, kCols = 96, kSamples = 400;
  auto x = correlated_inputs(kSamples, kCols, 71);
  // What is missing is a linear function of the inputs, so weights can give all of it.
  const auto wanted = random_values(kRows * kCols, 72);
  std::vector<float> lacking(kSamples * kRows);
  for (std::size_t s = 0; s < kSamples; ++s)
    for (std::size_t r = 0; r < kRows; ++r)
      for (std::size_t c = 0; c < kCols; ++c)
        lacking[s * kRows + r] += wanted[r * kCols + c] * x[s * kCols + c];
  std::vector<float> missing(kRows * kCols);
  const Matrix change{missing.data(), kRows, kCols, kCols};
  ASSERT_TRUE(algebra->add_cross_products({lacking.data(), kSamples, kRows, kRows},
                                          {x.data(), kSamples, kCols, kCols}, change));
  GptqOptions options;
  options.damping = 1e-6;
  ASSERT_TRUE(Gptq::prepare(hessian_of(x, kCols, *algebra), options, *algebra, "w", change));
  for (std::size_t i = 0; i < missing.size(); ++i) EXPECT_NEAR(missing[i], wanted[i], 0.05) << i;
}

TEST(Gptq, ImportanceIsTheMeanSquareOfInputs) {
  auto algebra = make_algebra();
  auto x = random_values(10 * 32, 5);
  auto gptq = *Gptq::prepare(hessian_of(x, 32, *algebra), {}, *algebra, "w");
  ASSERT_EQ(gptq->importance().size(), 32U);
  for (std::size_t c = 0; c < 32; ++c) {
    float sum = 0;
    for (std::size_t r = 0; r < 10; ++r) sum += x[r * 32 + c] * x[r * 32 + c];
    EXPECT_NEAR(gptq->importance()[c], sum / 10, 1e-5);
  }
}

TEST(Gptq, InputsThatNeverWereAreRoundedToNearest) {
  auto algebra = make_algebra();
  constexpr std::int64_t kCols = 64;
  auto x = correlated_inputs(200, kCols, 31);
  for (std::size_t i = 0; i < x.size(); ++i)
    if (i % kCols >= 32) x[i] = 0;
  const auto w = random_values(4 * kCols, 32);
  auto gptq = *Gptq::prepare(hessian_of(x, kCols, *algebra), {}, *algebra, "w");
  const auto blocks = quantize(*gptq, w, 4, DType::kQ4_0);
  std::vector<std::byte> nearest(blocks.size());
  const std::vector<float> ones(4 * kCols, 1.0F);
  encode_weighted(DType::kQ4_0, w.data(), ones.data(), 4 * kCols, nearest.data());
  const std::size_t block_bytes = row_bytes(DType::kQ4_0, 32);
  for (std::size_t row = 0; row < 4; ++row)
    for (std::size_t i = 0; i < block_bytes; ++i)
      EXPECT_EQ(blocks[(2 * row + 1) * block_bytes + i], nearest[(2 * row + 1) * block_bytes + i]);
}

TEST(Gptq, DampsHessiansThatAreNotPositiveDefinite) {
  auto algebra = make_algebra();
  constexpr std::int64_t kCols = 64;
  // Of rank 3: without damping there is no factor.
  auto x = random_values(3 * kCols, 41);
  GptqOptions options;
  options.damping = 0;
  auto gptq = Gptq::prepare(hessian_of(x, kCols, *algebra), options, *algebra, "w");
  ASSERT_TRUE(gptq);
  EXPECT_GT((*gptq)->damping(), 0);
  const auto w = random_values(8 * kCols, 42);
  for (const float v : decoded(DType::kQ4_0, quantize(**gptq, w, 8, DType::kQ4_0), 8 * kCols))
    EXPECT_TRUE(std::isfinite(v));

  // An eigenvalue of -1.2 times the mean: 0.01, 0.1 and 1 are not enough.
  Hessian h = identity(kCols);
  h.data()[1] = h.data()[kCols] = 2.2F;
  gptq = Gptq::prepare(std::move(h), {}, *algebra, "w");
  ASSERT_TRUE(gptq);
  EXPECT_DOUBLE_EQ((*gptq)->damping(), 10);
}

TEST(Gptq, SaysWhatIsWrongWithAHessian) {
  auto algebra = make_algebra();
  const auto message = [&](Hessian h) {
    auto gptq = Gptq::prepare(std::move(h), {}, *algebra, "blk.0.attn_q.weight");
    return gptq ? std::string() : gptq.error().message;
  };
  EXPECT_EQ(message(*Hessian::make(32)), "blk.0.attn_q.weight: no row of calibration reached it");
  EXPECT_EQ(message(identity(32, 0.0F)),
            "blk.0.attn_q.weight: the trace of its Hessian is 0, expected a positive number");
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(message(identity(32, kNan)).find("the trace of its Hessian is nan"), std::string::npos);
  Hessian h = identity(32);
  h.data()[5 * 32 + 7] = h.data()[7 * 32 + 5] = kNan;
  EXPECT_NE(message(std::move(h)).find("not positive definite"), std::string::npos);
  Hessian indefinite = identity(32);
  indefinite.data()[1] = indefinite.data()[32] = 1e6F;
  EXPECT_EQ(message(std::move(indefinite)),
            "blk.0.attn_q.weight: its Hessian is not positive definite, even with 100 of its mean "
            "diagonal added");
}

TEST(Gptq, SaysWhichTypesItCannotRoundTo) {
  auto algebra = make_algebra();
  auto gptq = *Gptq::prepare(identity(96), {}, *algebra, "w");
  const std::vector<float> w(96);
  std::vector<std::byte> out(1024);
  TensorQuality quality;
  EXPECT_NE(gptq->quantize(w, 1, DType::kF16, out.data(), quality).error().message.find("F16"),
            std::string::npos);
  EXPECT_NE(gptq->quantize(w, 1, DType::kQ4_K, out.data(), quality).error().message.find("Q4_K"),
            std::string::npos);
}

TEST(Gptq, BlocksDoNotDependOnThreads) {
  constexpr std::int64_t kRows = 530, kCols = 288;
  const auto w = random_values(kRows * kCols, 51);
  std::vector<std::byte> first;
  for (const int threads : {1, 3}) {
    auto algebra = make_algebra(threads);
    auto x = correlated_inputs(300, kCols, 52);
    auto gptq = *Gptq::prepare(hessian_of(x, kCols, *algebra), {}, *algebra, "w");
    const auto blocks = quantize(*gptq, w, kRows, DType::kQ4_0);
    if (first.empty()) first = blocks;
    EXPECT_EQ(blocks, first) << threads << " threads";
  }
}

TEST(RoundingOrder, KeepsBlocksTogetherTheMostDrivenLast) {
  const std::vector<float> diagonal{1, 9, 2, 5, 5, 5, 0, 3};
  EXPECT_EQ(rounding_order(diagonal, 2), (std::vector<std::int32_t>{6, 7, 2, 3, 0, 1, 4, 5}));
  EXPECT_EQ(rounding_order(diagonal, 8), (std::vector<std::int32_t>{6, 0, 2, 7, 3, 4, 5, 1}));
}

}  // namespace
}  // namespace ridgeline::ptq
