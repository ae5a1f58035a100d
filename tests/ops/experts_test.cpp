// Routing and the experts' products against plain loops in double precision.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>

#include "ridgeline/ops/backend.h"

namespace ridgeline {
namespace {

using Scores = RoutingRule::Scores;

struct Chosen {
  std::vector<std::int32_t> experts;
  std::vector<double> weights;
};

/// The rule as the papers have it, for one row.
Chosen route_in_double(const std::vector<float>& logits, const RoutingRule& rule,
                       const std::vector<float>& bias) {
  const std::size_t n = logits.size();
  std::vector<double> scores(logits.begin(), logits.end());
  const auto softmax = [](std::vector<double>& v) {
    const double top = *std::ranges::max_element(v);
    double sum = 0;
    for (double& x : v) sum += x = std::exp(x - top);
    for (double& x : v) x /= sum;
  };
  if (rule.scores == Scores::kSoftmax) softmax(scores);
  if (rule.scores == Scores::kSigmoid)
    for (double& x : scores) x = 1 / (1 + std::exp(-x));
  std::vector<double> ranks = scores;
  for (std::size_t i = 0; i < bias.size(); ++i) ranks[i] += static_cast<double>(bias[i]);

  const auto best_first = [](const std::vector<double>& values) {
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, [&](auto a, auto b) { return values[a] > values[b]; });
    return order;
  };
  const std::size_t size = n / static_cast<std::size_t>(rule.groups);
  std::vector<double> groups;
  for (std::size_t g = 0; g < n; g += size) {
    std::vector<double> members(ranks.begin() + static_cast<std::ptrdiff_t>(g),
                                ranks.begin() + static_cast<std::ptrdiff_t>(g + size));
    std::ranges::sort(members, std::greater<>());
    groups.push_back(std::accumulate(members.begin(), members.begin() + rule.group_scores, 0.0));
  }
  const auto group_order = best_first(groups);
  for (std::size_t i = static_cast<std::size_t>(rule.groups_chosen); i < groups.size(); ++i)
    for (std::size_t e = 0; e < size; ++e)
      ranks[group_order[i] * size + e] = -std::numeric_limits<double>::infinity();

  Chosen chosen;
  const auto order = best_first(ranks);
  for (int i = 0; i < rule.chosen; ++i)
    chosen.experts.push_back(static_cast<std::int32_t>(order[static_cast<std::size_t>(i)]));
  std::ranges::sort(chosen.experts);
  for (const std::int32_t e : chosen.experts)
    chosen.weights.push_back(scores[static_cast<std::size_t>(e)]);
  if (rule.scores == Scores::kSoftmaxOfChosen) softmax(chosen.weights);
  const double sum = std::accumulate(chosen.weights.begin(), chosen.weights.end(), 0.0);
  for (double& w : chosen.weights)
    w *= static_cast<double>(rule.scale) / (rule.normalise ? sum : 1.0);
  return chosen;
}

class Experts : public testing::Test {
 protected:
  void SetUp() override {
    auto backend = create_backend({.threads = 2, .isa = {}});
    ASSERT_TRUE(backend) << backend.error().message;
    backend_ = std::move(*backend);
  }
  void reserve(int experts, int per_row, std::int64_t hidden, std::int64_t ffn) {
    Backend::Limits limits{.max_rows = kRows, .max_cols = hidden, .max_positions = 1};
    limits.query_heads = limits.kv_heads = limits.head_dim = 1;
    limits.experts = experts;
    limits.experts_per_row = per_row;
    limits.expert_cols = std::max(hidden, ffn);
    limits.expert_hidden = per_row * ffn;
    limits.product_heads = experts;
    limits.product_head_cols = hidden;
    ASSERT_TRUE(backend_->reserve(limits));
  }
  std::vector<float> random(std::size_t count, float spread) {
    std::vector<float> values(count);
    std::normal_distribution<float> normal(0.0F, spread);
    for (float& v : values) v = normal(random_);
    return values;
  }
  Matrix matrix(std::vector<float>& values, std::int64_t rows) {
    const auto cols = static_cast<std::int64_t>(values.size()) / rows;
    return {values.data(), rows, cols, cols};
  }
  std::unique_ptr<PackedWeight> weight(const std::vector<float>& values, std::int64_t rows,
                                       std::int64_t cols) {
    const std::size_t bytes = *backend_->packed_bytes(DType::kF32, rows, cols);
    auto buffer = std::shared_ptr<DeviceBuffer>(*backend_->allocate(bytes, "a weight"));
    backend_->pack_rows(DType::kF32, rows, cols, reinterpret_cast<const std::byte*>(values.data()),
                        buffer->data());
    return *backend_->adopt_weight(DType::kF32, rows, cols, {{buffer->data(), bytes}, buffer});
  }

  static constexpr std::int64_t kRows = 200;
  std::unique_ptr<Backend> backend_;
  std::mt19937 random_{7};
};

TEST_F(Experts, AreChosenByTheRule) {
  const RoutingRule rules[] = {
      {.scores = Scores::kSoftmax, .chosen = 3},
      {.scores = Scores::kSoftmax, .chosen = 1, .normalise = true, .scale = 2.5F},
      {.scores = Scores::kSoftmax, .chosen = 24},
      {.scores = Scores::kSoftmaxOfChosen, .chosen = 4},
      {.scores = Scores::kSoftmax, .chosen = 5, .groups = 4, .groups_chosen = 2},
      {.scores = Scores::kSigmoid,
       .chosen = 6,
       .normalise = true,
       .scale = 2.5F,
       .groups = 8,
       .groups_chosen = 3,
       .group_scores = 2},
  };
  constexpr int kExperts = 24;
  for (const RoutingRule& rule : rules)
    for (const bool biased : {false, true}) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(rule.scores) << ", " << rule.chosen
                                      << " of " << kExperts << (biased ? ", biased" : ""));
      reserve(kExperts, rule.chosen, 1, 1);
      std::vector<float> logits = random(kRows * kExperts, 2.0F);
      const std::vector<float> bias = biased ? random(kExperts, 0.5F) : std::vector<float>{};
      std::vector<std::int32_t> experts(static_cast<std::size_t>(kRows * rule.chosen));
      std::vector<float> weights(experts.size());
      backend_->route(matrix(logits, kRows), rule, biased ? bias.data() : nullptr,
                      {experts.data(), weights.data(), rule.chosen});
      for (std::size_t r = 0; r < kRows; ++r) {
        const Chosen expected =
            route_in_double({logits.begin() + static_cast<std::ptrdiff_t>(r * kExperts),
                             logits.begin() + static_cast<std::ptrdiff_t>((r + 1) * kExperts)},
                            rule, bias);
        for (std::size_t i = 0; i < expected.experts.size(); ++i) {
          const std::size_t at = r * expected.experts.size() + i;
          ASSERT_EQ(experts[at], expected.experts[i]) << "row " << r;
          ASSERT_NEAR(static_cast<double>(weights[at]), expected.weights[i], 2e-6);
        }
      }
    }
}

TEST_F(Experts, OfEqualScoresTheLowestAndOfBrokenOnesAny) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  reserve(6, 2, 1, 1);
  std::vector<float> logits{1, 3, 0, 3, 3, 1, kNan, kNan, kNan, kNan, kNan, kNan};
  std::vector<std::int32_t> experts(4);
  std::vector<float> weights(4);
  for (const int groups : {1, 3}) {
    backend_->route(matrix(logits, 2),
                    {.scores = Scores::kSigmoid, .chosen = 2, .groups = groups, .groups_chosen = 1},
                    nullptr, {experts.data(), weights.data(), 2});
    // In groups of two, the first has a 3 and is the lowest of two that have.
    EXPECT_EQ(experts, groups == 1 ? (std::vector<std::int32_t>{1, 3, 0, 1})
                                   : (std::vector<std::int32_t>{0, 1, 0, 1}));
    EXPECT_TRUE(std::isnan(weights[2]));
  }
}

/// Rows of 13 experts: SiLU and gpt-oss's gate, with and without biases; batches in which an
/// expert has no row, one, a tile and a bit, or more than a block of rows.
TEST_F(Experts, GiveWhatLoopsGive) {
  constexpr int kExperts = 13, kPerRow = 3;
  constexpr std::int64_t kHidden = 40, kFfn = 21;
  constexpr auto kMatrix = static_cast<std::size_t>(kHidden * kFfn);
  std::vector<std::vector<float>> gate, up, down;
  std::vector<std::unique_ptr<PackedWeight>> gates, ups, downs;
  for (int e = 0; e < kExperts; ++e) {
    gate.push_back(random(kMatrix, 0.2F));
    up.push_back(random(kMatrix, 0.2F));
    down.push_back(random(kMatrix, 0.2F));
    gates.push_back(weight(gate.back(), kFfn, kHidden));
    ups.push_back(weight(up.back(), kFfn, kHidden));
    downs.push_back(weight(down.back(), kHidden, kFfn));
  }
  const std::vector<float> gate_bias = random(kExperts * kFfn, 0.5F);
  const std::vector<float> up_bias = random(kExperts * kFfn, 0.5F);
  const std::vector<float> down_bias = random(kExperts * kHidden, 0.5F);
  reserve(kExperts, kPerRow, kHidden, kFfn);
  std::vector<float> x = random(static_cast<std::size_t>(kRows * kHidden), 1.0F);
  std::vector<std::int32_t> experts;
  for (std::int64_t r = 0; r < kRows; ++r) {
    // 0 is chosen by all, 12 by none, 11 by one.
    const auto second = static_cast<std::int32_t>(1 + r % 4);
    const auto third = static_cast<std::int32_t>(r == 0 ? 11 : 5 + r * r % 6);
    experts.insert(experts.end(), {0, second, third});
  }
  const std::vector<float> weights = random(experts.size(), 1.0F);
  const std::vector<float> before = random(x.size(), 1.0F);

  for (const bool oai : {false, true}) {
    std::vector<double> expected(before.begin(), before.end());
    for (std::size_t place = 0; place < experts.size(); ++place) {
      const auto e = static_cast<std::size_t>(experts[place]);
      const float* row = x.data() + place / kPerRow * kHidden;
      std::vector<double> h(kFfn);
      for (std::size_t i = 0; i < kFfn; ++i) {
        double g = oai ? static_cast<double>(gate_bias[e * kFfn + i]) : 0.0;
        double u = oai ? static_cast<double>(up_bias[e * kFfn + i]) : 0.0;
        for (std::size_t k = 0; k < kHidden; ++k) {
          g += static_cast<double>(gate[e][i * kHidden + k]) * static_cast<double>(row[k]);
          u += static_cast<double>(up[e][i * kHidden + k]) * static_cast<double>(row[k]);
        }
        if (oai) {
          g = std::min(g, 7.0);
          u = std::clamp(u, -7.0, 7.0);
          h[i] = g / (1 + std::exp(-1.702 * g)) * (u + 1);
        } else {
          h[i] = g / (1 + std::exp(-g)) * u;
        }
      }
      for (std::size_t c = 0; c < kHidden; ++c) {
        double y = oai ? static_cast<double>(down_bias[e * kHidden + c]) : 0.0;
        for (std::size_t i = 0; i < kFfn; ++i)
          y += static_cast<double>(down[e][c * kFfn + i]) * h[i];
        expected[place / kPerRow * kHidden + c] += static_cast<double>(weights[place]) * y;
      }
    }

    ExpertWeights all{.gate = gates, .up = ups, .down = downs};
    if (oai) {
      all.gate_bias = gate_bias.data();
      all.up_bias = up_bias.data();
      all.down_bias = down_bias.data();
      all.activation = Activation::kSwigluOai;
    }
    std::vector<float> alone(before.size());
    for (const std::int64_t rows : {kRows, std::int64_t{1}, std::int64_t{9}}) {
      SCOPED_TRACE(testing::Message() << (oai ? "gpt-oss, " : "SiLU, ") << rows << " rows");
      std::vector<float> out = before;
      for (std::int64_t r = 0; r < kRows; r += rows) {
        const std::int64_t count = std::min(rows, kRows - r);
        std::vector<float> w(weights.begin() + r * kPerRow,
                             weights.begin() + (r + count) * kPerRow);
        std::vector<std::int32_t> e(experts.begin() + r * kPerRow,
                                    experts.begin() + (r + count) * kPerRow);
        backend_->experts(matrix(x, kRows).slice_rows(r, count), {e.data(), w.data(), kPerRow}, all,
                          matrix(out, kRows).slice_rows(r, count));
      }
      for (std::size_t i = 0; i < out.size(); ++i)
        ASSERT_NEAR(static_cast<double>(out[i]), expected[i], 2e-5) << i;
      if (rows == kRows) alone = out;
      EXPECT_EQ(std::memcmp(alone.data(), out.data(), out.size() * sizeof(float)), 0);
    }
  }
}

TEST_F(Experts, ProductsByHeadKeepToTheirHeads) {
  constexpr int kHeads = 5;
  constexpr std::int64_t kIn = 24, kOut = 19, kInPitch = 30, kOutPitch = 22;
  std::vector<std::vector<float>> values;
  std::vector<std::unique_ptr<PackedWeight>> heads;
  for (int h = 0; h < kHeads; ++h) {
    values.push_back(random(kIn * kOut, 0.3F));
    heads.push_back(weight(values.back(), kOut, kIn));
  }
  reserve(kHeads, 1, kIn, 1);
  for (const std::int64_t rows : {1, 7, 100}) {
    std::vector<float> x = random(static_cast<std::size_t>(rows * kHeads * kInPitch), 1.0F);
    std::vector<float> out(static_cast<std::size_t>(rows * kHeads * kOutPitch), 42.0F);
    backend_->linear_by_head(matrix(x, rows), heads, matrix(out, rows));
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t h = 0; h < kHeads; ++h)
        for (std::int64_t c = 0; c < kOutPitch; ++c) {
          double expected = 0;
          for (std::int64_t k = 0; k < kIn && c < kOut; ++k)
            expected +=
                static_cast<double>(
                    values[static_cast<std::size_t>(h)][static_cast<std::size_t>(c * kIn + k)]) *
                static_cast<double>(x[static_cast<std::size_t>((r * kHeads + h) * kInPitch + k)]);
          if (c >= kOut) expected = 42;
          ASSERT_NEAR(
              static_cast<double>(out[static_cast<std::size_t>((r * kHeads + h) * kOutPitch + c)]),
              expected, 2e-5)
              << r << " " << h << " " << c;
        }
  }
}

}  // namespace
}  // namespace ridgeline
