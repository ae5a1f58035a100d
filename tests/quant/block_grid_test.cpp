#include "ridgeline/quant/block_grid.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "ridgeline/quant/block_format.h"
#include "ridgeline/quant/grid_search.h"
#include "ridgeline/quant/isa.h"
#include "tests/quant/gguf_matrices.h"

namespace ridgeline {
namespace {

using Block = std::vector<float>;

std::vector<DTypeInfo> grid_types() {
  std::vector<DTypeInfo> types;
  for (const DTypeInfo& type : all_dtypes())
    if (grid_format(type.dtype) != nullptr) types.push_back(type);
  return types;
}

class BlockGridTest : public testing::TestWithParam<DTypeInfo> {
 protected:
  DType dtype() const { return GetParam().dtype; }
  const GridFormat& format() const { return *grid_format(dtype()); }
  std::size_t elements() const { return static_cast<std::size_t>(format().block_elements); }
};
INSTANTIATE_TEST_SUITE_P(AllTypes, BlockGridTest, testing::ValuesIn(grid_types()),
                         [](const auto& i) { return std::string(i.param.name); });

Block random_block(std::size_t n, std::mt19937& random, float size = 1.0f) {
  std::normal_distribution<float> normal(0.0f, size);
  Block x(n);
  for (float& v : x) v = normal(random);
  return x;
}

/// Mean squares of activations spread over several orders of magnitude.
Block random_importance(std::size_t n, std::mt19937& random) {
  std::lognormal_distribution<float> spread(0.0f, 1.5f);
  Block importance(n);
  for (float& v : importance) v = spread(random);
  return importance;
}

/// What weights look like, and what they should not: named makers of blocks.
struct Distribution {
  const char* name;
  std::function<float(std::mt19937&, std::size_t)> element;
};
const std::vector<Distribution>& distributions() {
  using Random = std::mt19937;
  static const auto normal = [](Random& r) { return std::normal_distribution<float>()(r); };
  static const std::vector<Distribution> all = {
      {"normal", [](Random& r, std::size_t) { return normal(r) * 0.02f; }},
      {"uniform",
       [](Random& r, std::size_t) {
         return std::uniform_real_distribution<float>(-3.0f, 3.0f)(r);
       }},
      {"heavy tails", [](Random& r, std::size_t) { return std::pow(normal(r), 3.0f); }},
      {"one outlier", [](Random& r, std::size_t i) { return i == 5 ? 30.0f : normal(r); }},
      {"shifted", [](Random& r, std::size_t) { return normal(r) - 2.0f; }},
      {"sparse", [](Random& r, std::size_t) { return r() % 8 == 0 ? normal(r) : 0.0f; }},
      {"sub-blocks of very different size",
       [](Random& r, std::size_t i) {
         return normal(r) * std::ldexp(1.0f, static_cast<int>(i / 16 % 8) - 4);
       }},
  };
  return all;
}

std::vector<float> decoded(DType dtype, const std::vector<std::byte>& blocks, std::size_t n) {
  std::vector<float> values(n);
  decode(dtype, blocks.data(), static_cast<std::int64_t>(n), values.data());
  return values;
}

double weighted_error(const Block& x, const std::vector<float>& y, const Block& weight) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double off = static_cast<double>(x[i]) - y[i];
    sum += off * off * (weight.empty() ? 1.0 : static_cast<double>(weight[i]));
  }
  return sum;
}

/// Levels by nearest(), the packed block's values, and that these are what value() says.
std::vector<float> through_grid(const GridFormat& format, const BlockGrid& grid, const Block& x) {
  std::vector<std::uint8_t> levels(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const int sub = static_cast<int>(i) / format.sub_elements;
    const int level = format.nearest(grid, sub, x[i]);
    EXPECT_GE(level, 0);
    EXPECT_LT(level, format.levels);
    levels[i] = static_cast<std::uint8_t>(level);
  }
  std::vector<std::byte> block(static_cast<std::size_t>(info(format.dtype).block_bytes));
  format.pack(grid, levels.data(), block.data());
  std::vector<float> values = decoded(format.dtype, block, x.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    EXPECT_EQ(values[i], format.value(grid, static_cast<int>(i) / format.sub_elements, levels[i]))
        << "element " << i;
  return values;
}

TEST_P(BlockGridTest, DescribesItself) {
  EXPECT_EQ(format().block_elements, GetParam().block_elements);
  EXPECT_LE(format().sub_blocks(), BlockGrid::kSubBlocksMax);
  for (int l = 1; l < format().levels; ++l) {
    EXPECT_GT(format().step(l), format().step(l - 1));
    if (format().is_even) {
      EXPECT_EQ(format().step(l), format().step(l - 1) + 1);
    }
  }
}

TEST_P(BlockGridTest, PackedBlocksDecodeToTheGridsValues) {
  std::mt19937 random(1);
  for (const Distribution& from : distributions())
    for (int round = 0; round < 10; ++round) {
      Block x(elements());
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = from.element(random, i);
      const Block importance = random_importance(elements(), random);
      BlockGrid grid;
      format().fit(x.data(), round % 2 == 0 ? importance.data() : nullptr, grid);
      through_grid(format(), grid, x);
      // Every level is stored as itself, wherever in the block it is.
      std::vector<std::uint8_t> levels(elements());
      for (std::uint8_t& l : levels)
        l = static_cast<std::uint8_t>(random() % static_cast<unsigned>(format().levels));
      std::vector<std::byte> block(static_cast<std::size_t>(GetParam().block_bytes));
      format().pack(grid, levels.data(), block.data());
      const auto values = decoded(dtype(), block, elements());
      for (std::size_t i = 0; i < elements(); ++i)
        ASSERT_EQ(values[i],
                  format().value(grid, static_cast<int>(i) / format().sub_elements, levels[i]));
    }
}

TEST_P(BlockGridTest, NearestIsNearest) {
  std::mt19937 random(2);
  for (int round = 0; round < 20; ++round) {
    const Block x = random_block(elements(), random);
    BlockGrid grid;
    format().fit(x.data(), nullptr, grid);
    for (int sub = 0; sub < format().sub_blocks(); ++sub)
      for (int sample = 0; sample < 40; ++sample) {
        const float wanted = 1.3f * x[random() % elements()];
        float least = std::numeric_limits<float>::infinity();
        for (int l = 0; l < format().levels; ++l)
          least = std::min(least, std::fabs(wanted - format().value(grid, sub, l)));
        const int level = format().nearest(grid, sub, wanted);
        ASSERT_EQ(std::fabs(wanted - format().value(grid, sub, level)), least)
            << "x " << wanted << " scale " << grid.scale[sub] << " offset " << grid.offset[sub];
      }
  }
}

TEST_P(BlockGridTest, IsBetterThanPlainRounding) {
  std::mt19937 random(3);
  for (const Distribution& from : distributions()) {
    double plain = 0, fitted = 0, plain_equal = 0, fitted_equal = 0;
    for (int round = 0; round < 60; ++round) {
      Block x(elements());
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = from.element(random, i);
      const Block importance = random_importance(elements(), random), ones(elements(), 1.0f);
      const auto n = static_cast<std::int64_t>(x.size());
      std::vector<std::byte> block(static_cast<std::size_t>(GetParam().block_bytes));
      encode(dtype(), x.data(), n, block.data());
      const auto rounded = decoded(dtype(), block, x.size());
      const double plain_here = weighted_error(x, rounded, importance);
      plain += plain_here;
      plain_equal += weighted_error(x, rounded, {});
      encode_weighted(dtype(), x.data(), importance.data(), n, block.data());
      const double fitted_here = weighted_error(x, decoded(dtype(), block, x.size()), importance);
      fitted += fitted_here;
      // Blocks of 32 try what plain rounding takes.
      if (format().block_elements == 32) {
        EXPECT_LE(fitted_here, plain_here * 1.0001) << from.name;
      }
      encode_weighted(dtype(), x.data(), ones.data(), n, block.data());
      fitted_equal += weighted_error(x, decoded(dtype(), block, x.size()), {});
    }
    EXPECT_LE(fitted, plain) << from.name;
    EXPECT_LE(fitted_equal, plain_equal) << from.name;
  }
}

TEST_P(BlockGridTest, EveryInstructionSetFindsTheSameBits) {
  std::mt19937 random(4);
  for (const Distribution& from : distributions())
    for (int round = 0; round < 4; ++round) {
      Block x(elements());
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = from.element(random, i);
      const Block importance = random_importance(elements(), random);
      const float* weights = round % 2 == 0 ? importance.data() : nullptr;
      BlockGrid expected;
      format().fit(x.data(), weights, expected);
      for (const QuantIsa& isa : quant_isas()) {
        BlockGrid grid;
        fit_grid(*isa.searches, dtype(), x.data(), weights, grid);
        EXPECT_EQ(std::memcmp(&grid, &expected, sizeof grid), 0) << isa.name << " " << from.name;
      }
    }
}

TEST_P(BlockGridTest, OddBlocksGiveValidOnes) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kMax = std::numeric_limits<float>::max();
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  std::mt19937 random(5);
  std::vector<Block> blocks;
  for (const float v : {0.0f, -0.0f, 1.0f, -1.0f, 1e-3f, 6e4f, -7e4f, 1e30f, kMax, -kMax, kTiny,
                        1e-20f, 1e-8f, -1e-7f, kInfinity, -kInfinity, kNan}) {
    blocks.emplace_back(elements(), v);
    Block one(elements(), 0.0f);
    one[7] = v;
    blocks.push_back(one);
    one = random_block(elements(), random);
    one[7] = v;
    blocks.push_back(one);
  }
  for (const float size : {1e-44f, 1e-30f, 1e-7f, 1e5f, 1e20f, 3e37f})
    blocks.push_back(random_block(elements(), random, size));

  std::vector<Block> importances = {Block(elements(), 0.0f),  Block(elements(), kNan),
                                    Block(elements(), -1.0f), Block(elements(), kInfinity),
                                    Block(elements(), kTiny), Block(elements(), kMax)};
  importances.emplace_back(elements(), 0.0f)[3] = 1.0f;
  importances.push_back(random_importance(elements(), random));
  for (const Block& x : blocks) {
    for (std::size_t i = 0; i <= importances.size(); ++i) {
      BlockGrid grid;
      format().fit(x.data(), i == 0 ? nullptr : importances[i - 1].data(), grid);
      for (const float v : through_grid(format(), grid, x))
        EXPECT_TRUE(std::isfinite(v)) << "block of " << x[0] << ", " << x[7];
    }
  }
}

TEST_P(BlockGridTest, WhatF16HoldsComesBackExactly) {
  for (const float v : {0.0f, 0.25f, -0.25f, 4.0f, -4.0f, 1024.0f}) {
    Block x(elements(), 0.0f);
    for (std::size_t i = 0; i < x.size(); i += 3) x[i] = v;
    BlockGrid grid;
    format().fit(x.data(), nullptr, grid);
    const auto values = through_grid(format(), grid, x);
    // The codebook has no zero; its value next to it is 1.
    const float slack = format().is_even ? 1e-3f : 0.02f;
    for (std::size_t i = 0; i < x.size(); ++i)
      EXPECT_NEAR(values[i], x[i], std::fabs(v) * slack) << v;
  }
}

/// Wanted scales and offsets come back to within half a step of their storage.
TEST_P(BlockGridTest, StoresWantedScales) {
  std::mt19937 random(6);
  std::uniform_real_distribution<float> uniform(0.3f, 1.0f);
  const auto subs = static_cast<std::size_t>(format().sub_blocks());
  for (int round = 0; round < 50; ++round) {
    const float size = std::ldexp(1.0f, round % 12 - 6);
    Block scale(subs), offset(subs);
    for (std::size_t s = 0; s < subs; ++s) {
      scale[s] = size * uniform(random);
      offset[s] = -4.0f * size * uniform(random);
      if (!format().has_offset && subs > 1 && s % 2 == 1) scale[s] = -scale[s];
    }
    BlockGrid grid;
    format().store(scale.data(), format().has_offset ? offset.data() : nullptr, grid);
    const double steps = subs == 1                 ? 1024
                         : dtype() == DType::kQ2_K ? 15 * 0.75
                         : dtype() == DType::kQ6_K ? 128 * 0.75
                         : format().has_offset     ? 63 * 0.75
                                                   : 31 * 0.75;
    const double tolerance = 0.5 / steps + 1e-3;
    for (std::size_t s = 0; s < subs; ++s) {
      EXPECT_NEAR(grid.scale[s], scale[s], size * tolerance);
      const float wanted = format().has_offset ? offset[s] : 0.0f;
      EXPECT_NEAR(grid.offset[s], wanted, 4 * size * tolerance);
    }
    through_grid(format(), grid, random_block(elements(), random, size));
  }
  // What cannot be stored gives a valid grid.
  for (const float odd : {0.0f, std::numeric_limits<float>::quiet_NaN(), 1e30f, -1e30f,
                          std::numeric_limits<float>::infinity(), 1e-30f}) {
    const Block scale(subs, odd), offset(subs, odd);
    BlockGrid grid;
    format().store(scale.data(), format().has_offset ? offset.data() : nullptr, grid);
    for (const float v : through_grid(format(), grid, Block(elements(), 1.0f)))
      EXPECT_TRUE(std::isfinite(v));
  }
}

/// Signal over noise of each format on normally distributed weights, 0.2 dB below what it
/// reaches; and the largest error in units of the block's largest element. Plain rounding is
/// 0.24 dB (Q4_K) to 1.2 dB (Q8_0, Q2_K) below.
struct Expected {
  DType dtype;
  double sqnr_db;
  double greatest_error;
};
constexpr Expected kExpected[] = {
    {DType::kQ4_0, 21.65, 0.14},  {DType::kQ4_1, 23.05, 0.12},   {DType::kQ5_0, 27.75, 0.06},
    {DType::kQ5_1, 29.30, 0.06},  {DType::kQ8_0, 46.40, 0.006},  {DType::kQ2_K, 11.60, 0.45},
    {DType::kQ3_K, 16.65, 0.25},  {DType::kQ4_K, 22.95, 0.11},   {DType::kQ5_K, 29.20, 0.055},
    {DType::kQ6_K, 35.50, 0.022}, {DType::kIQ4_NL, 22.50, 0.15}, {DType::kIQ4_XS, 22.45, 0.15},
};

TEST_P(BlockGridTest, ErrorsOnNormalWeightsStayWithinTheFormats) {
  const auto* expected = std::ranges::find(kExpected, dtype(), &Expected::dtype);
  ASSERT_NE(expected, std::end(kExpected));
  std::mt19937 random(9);
  double signal = 0, noise = 0, greatest_error = 0;
  for (int round = 0; round < 400; ++round) {
    const Block x = random_block(elements(), random);
    std::vector<std::byte> block(static_cast<std::size_t>(GetParam().block_bytes));
    encode_weighted(dtype(), x.data(), nullptr, format().block_elements, block.data());
    const auto values = decoded(dtype(), block, x.size());
    signal += weighted_error(x, Block(x.size(), 0.0f), {});
    noise += weighted_error(x, values, {});
    double greatest = 0, error = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      greatest = std::max(greatest, std::fabs(static_cast<double>(x[i])));
      error = std::max(error, std::fabs(static_cast<double>(x[i]) - values[i]));
    }
    greatest_error = std::max(greatest_error, error / greatest);
  }
  const double sqnr_db = 10 * std::log10(signal / noise);
  EXPECT_GE(sqnr_db, expected->sqnr_db);
  EXPECT_LE(greatest_error, expected->greatest_error);
}

/// On trained weights with importances spread as those of activations, a tenth of the error
/// and more is gone.
TEST_P(BlockGridTest, IsBetterThanPlainRoundingOnTrainedWeights) {
  const std::string path = std::string(RIDGELINE_SHARED_DATA) + "/models/fireside-f16.gguf";
  static const std::vector<Matrix> matrices = GgufMatrices::read(path);
  if (matrices.empty()) GTEST_SKIP() << "there is no " << path;
  std::mt19937 random(10);
  double plain = 0, fitted = 0;
  for (const Matrix& m : matrices) {
    const auto cols = static_cast<std::size_t>(m.cols);
    const Block importance = random_importance(cols, random);
    std::vector<std::byte> blocks(row_bytes(dtype(), m.cols));
    for (std::int64_t row = 0; row < m.rows; row += std::max<std::int64_t>(1, m.rows / 8)) {
      const auto from = m.w.begin() + row * m.cols;
      const Block x(from, from + m.cols);
      encode(dtype(), x.data(), m.cols, blocks.data());
      plain += weighted_error(x, decoded(dtype(), blocks, cols), importance);
      encode_weighted(dtype(), x.data(), importance.data(), m.cols, blocks.data());
      fitted += weighted_error(x, decoded(dtype(), blocks, cols), importance);
    }
  }
  EXPECT_LE(fitted, 0.85 * plain);
}

TEST(BlockGrid, SymmetricScalesTakeEitherSign) {
  // Q4_0 reaches -8 but only 7: whichever end is the greater decides the sign.
  for (const float sign : {1.0f, -1.0f}) {
    Block x(32, 0.0f);
    for (int i = 0; i < 15; ++i) x[static_cast<std::size_t>(i)] = sign * static_cast<float>(i - 7);
    x[20] = sign * 8.0f;
    BlockGrid grid;
    const GridFormat& format = *grid_format(DType::kQ4_0);
    format.fit(x.data(), nullptr, grid);
    EXPECT_EQ(grid.scale[0], -sign);
    const auto values = through_grid(format, grid, x);
    EXPECT_EQ(values, x);
  }
}

/// The exact optimum of a symmetric scale: as 1/s grows from zero, the level of one element
/// after the other changes; between changes the best scale is that of least squares.
double exact_error(const Block& x, const Block& weight, int low, int high) {
  struct Change {
    double inverse;
    std::size_t element;
  };
  double best = 0, squares = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    squares += static_cast<double>(weight[i]) * x[i] * x[i];
  for (const double sign : {1.0, -1.0}) {
    std::vector<Change> changes;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double v = sign * x[i];
      const int steps = v > 0 ? high : -low;
      for (int k = 0; k < steps; ++k)
        if (v != 0) changes.push_back({(k + 0.5) / std::fabs(v), i});
    }
    std::ranges::sort(changes, {}, &Change::inverse);
    std::vector<int> levels(x.size(), 0);
    double xq = 0, qq = 0;
    for (const Change& change : changes) {
      const double v = sign * x[change.element], w = weight[change.element];
      int& level = levels[change.element];
      const int next = level + (v > 0 ? 1 : -1);
      xq += w * v * (next - level);
      qq += w * (next * next - level * level);
      level = next;
      best = std::max(best, xq > 0 ? xq * xq / qq : 0.0);
    }
  }
  return squares - best;
}

TEST(BlockGrid, TheSearchIsCloseToTheExactOptimum) {
  std::mt19937 random(8);
  double exact = 0, found = 0;
  for (int round = 0; round < 300; ++round) {
    const Block x = random_block(32, random), importance = random_importance(32, random);
    exact += exact_error(x, importance, -8, 7);
    std::vector<std::byte> block(18);
    encode_weighted(DType::kQ4_0, x.data(), importance.data(), 32, block.data());
    found += weighted_error(x, decoded(DType::kQ4_0, block, 32), importance);
  }
  EXPECT_GE(found, exact * 0.9999);
  EXPECT_LE(found, exact * 1.01);
}

TEST(BlockGrid, TypesWithoutAnEncoderHaveNone) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kIQ2_XS, DType::kIQ3_S})
    EXPECT_EQ(grid_format(dtype), nullptr);
}

}  // namespace
}  // namespace ridgeline
