#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/kernels/paged_cache.h"
#include "tests/kernels/vector_isa.h"

namespace ridgeline::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr double kUnit = 0x1p-24;  // unit roundoff
constexpr std::int64_t kSizes[] = {1,  7,  8,   10,  15,  16,   17,    31,   63,
                                   64, 65, 100, 128, 896, 2048, 16384, 16389};

/// n random floats, then one that no kernel may touch.
std::vector<float> guarded(std::int64_t n, unsigned seed, float scale = 1.0F) {
  std::vector<float> values = random_floats(static_cast<std::size_t>(n), seed, scale);
  values.push_back(12345.0F);
  return values;
}

class Elementwise : public VectorKernels {};

TEST_P(Elementwise, RmsNormMatchesDoublePrecision) {
  for (std::int64_t n : kSizes) {
    const auto x = guarded(n, 1, 3.0F), weight = guarded(n, 2);
    const float eps = 1e-5F;
    double squares = 0;
    for (std::int64_t i = 0; i < n; ++i)
      squares += std::pow(static_cast<double>(x[static_cast<std::size_t>(i)]), 2);
    const double scale = 1 / std::sqrt(squares / static_cast<double>(n) + static_cast<double>(eps));
    // Each of at least 8 lanes x 4 sums a chain of n / 32; the root halves the error.
    const double bound =
        (static_cast<double>(n) / 32 + 10) / 2 * (fused_multiply_add() ? 1 : 2) + 4;
    std::vector<float> out(x.size(), 12345.0F);
    table->rms_norm(x.data(), weight.data(), eps, n, out.data());
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
      const double expected = static_cast<double>(x[i]) * scale * static_cast<double>(weight[i]);
      ASSERT_NEAR(static_cast<double>(out[i]), expected, bound * kUnit * std::abs(expected))
          << "n " << n << " i " << i;
    }
    EXPECT_EQ(out.back(), 12345.0F);

    auto in_place = x;
    table->rms_norm(in_place.data(), weight.data(), eps, n, in_place.data());
    EXPECT_EQ(0, std::memcmp(in_place.data(), out.data(), out.size() * sizeof(float))) << n;
  }
}

TEST_P(Elementwise, RmsNormOfZerosAndNan) {
  std::vector<float> x(40, 0.0F), weight(40, 2.0F), out(40);
  table->rms_norm(x.data(), weight.data(), 1e-6F, 40, out.data());
  for (float v : out) EXPECT_EQ(v, 0.0F);
  x[39] = kNan;
  table->rms_norm(x.data(), weight.data(), 1e-6F, 40, out.data());
  for (float v : out) EXPECT_TRUE(std::isnan(v));
}

TEST_P(Elementwise, RmsNormWithoutWeightsIsOneOfOnes) {
  const auto x = guarded(77, 3);
  const std::vector<float> ones(77, 1.0F);
  auto with = x, without = x;
  table->rms_norm(x.data(), ones.data(), 1e-5F, 77, with.data());
  table->rms_norm(x.data(), nullptr, 1e-5F, 77, without.data());
  EXPECT_EQ(with, without);
}

TEST_P(Elementwise, LayerNormMatchesDoublePrecision) {
  for (std::int64_t n : kSizes) {
    auto x = guarded(n, 1, 3.0F);
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) x[i] += 2.0F;
    const auto weight = guarded(n, 2), bias = guarded(n, 3);
    const float eps = 1e-5F;
    const auto size = static_cast<double>(n);
    double mean = 0, squares = 0, sizes = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
      mean += static_cast<double>(x[i]) / size;
      sizes += std::abs(static_cast<double>(x[i])) / size;
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i)
      squares += std::pow(static_cast<double>(x[i]) - mean, 2);
    const double scale = 1 / std::sqrt(squares / size + static_cast<double>(eps));
    // As in rms_norm; the mean's own rounding shifts every element before the division.
    const double chain = size / 32 + 10;
    const double bound = chain / 2 * (fused_multiply_add() ? 1 : 2) + 8;
    const double shift = chain * kUnit * sizes;
    for (bool with_bias : {true, false}) {
      std::vector<float> out(x.size(), 12345.0F);
      table->layer_norm(x.data(), weight.data(), with_bias ? bias.data() : nullptr, eps, n,
                        out.data());
      for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
        const double w = static_cast<double>(weight[i]);
        const double b = with_bias ? static_cast<double>(bias[i]) : 0.0;
        const double normed = (static_cast<double>(x[i]) - mean) * scale * w;
        ASSERT_NEAR(
            static_cast<double>(out[i]), normed + b,
            bound * kUnit * (std::abs(normed) + std::abs(b)) + 3 * shift * scale * std::abs(w))
            << "n " << n << " i " << i;
      }
      EXPECT_EQ(out.back(), 12345.0F);
      auto in_place = x;
      table->layer_norm(in_place.data(), weight.data(), with_bias ? bias.data() : nullptr, eps, n,
                        in_place.data());
      EXPECT_EQ(0, std::memcmp(in_place.data(), out.data(), out.size() * sizeof(float))) << n;
    }
  }
}

TEST_P(Elementwise, AddIsExactAndStopsAtN) {
  for (std::int64_t n : kSizes) {
    const auto x = guarded(n, 5), y = guarded(n, 6);
    auto out = y;
    table->add(x.data(), n, out.data());
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) ASSERT_EQ(out[i], y[i] + x[i]);
    EXPECT_EQ(out.back(), 12345.0F);
  }
}

TEST_P(Elementwise, ScaleAndAddScaledRoundOnceAndStopAtN) {
  for (std::int64_t n : kSizes) {
    const auto x = guarded(n, 5), y = guarded(n, 6);
    auto sum = y, product = x;
    table->add_scaled(x.data(), 0.3F, n, sum.data());
    table->scale(0.3F, n, product.data());
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
      ASSERT_EQ(product[i], 0.3F * x[i]);
      ASSERT_EQ(sum[i], fused_multiply_add() ? std::fma(0.3F, x[i], y[i]) : y[i] + product[i]);
    }
    EXPECT_EQ(sum.back(), 12345.0F);
    EXPECT_EQ(product.back(), 12345.0F);
  }
}

TEST_P(Elementwise, RopeMatchesDoublePrecision) {
  for (bool interleaved : {false, true}) {
    for (int rot : {2, 4, 6, 8, 10, 16, 30, 32, 34, 64, 80, 96, 128, 256}) {
      const int half = rot / 2;
      const auto x = guarded(rot, 9);
      std::vector<float> cos_sin;
      for (int i = 0; i < half; ++i) cos_sin.push_back(static_cast<float>(std::cos(0.7 * i)));
      for (int i = 0; i < half; ++i) cos_sin.push_back(static_cast<float>(std::sin(0.7 * i)));
      auto out = x;
      (interleaved ? table->rope_interleaved : table->rope_half)(out.data(), cos_sin.data(), rot);
      for (int i = 0; i < half; ++i) {
        const auto first = static_cast<std::size_t>(interleaved ? 2 * i : i);
        const auto second = static_cast<std::size_t>(interleaved ? 2 * i + 1 : i + half);
        const auto c = static_cast<double>(cos_sin[static_cast<std::size_t>(i)]);
        const auto s = static_cast<double>(cos_sin[static_cast<std::size_t>(i + half)]);
        const auto a = static_cast<double>(x[first]), b = static_cast<double>(x[second]);
        const double bound = 3 * kUnit * (std::abs(a) + std::abs(b));
        EXPECT_NEAR(static_cast<double>(out[first]), a * c - b * s, bound) << rot << " " << i;
        EXPECT_NEAR(static_cast<double>(out[second]), a * s + b * c, bound) << rot << " " << i;
      }
      EXPECT_EQ(out.back(), 12345.0F);
    }
  }
}

TEST_P(Elementwise, RopeStylesRoundAlike) {
  const int rot = 40;
  const auto x = guarded(rot, 10);
  const auto cos_sin = random_floats(rot, 11);
  std::vector<float> half(rot), interleaved(rot);
  for (std::size_t i = 0; i < rot / 2; ++i) {
    half[i] = interleaved[2 * i] = x[i];
    half[i + rot / 2] = interleaved[2 * i + 1] = x[i + rot / 2];
  }
  table->rope_half(half.data(), cos_sin.data(), rot);
  table->rope_interleaved(interleaved.data(), cos_sin.data(), rot);
  for (std::size_t i = 0; i < rot / 2; ++i) {
    EXPECT_EQ(half[i], interleaved[2 * i]);
    EXPECT_EQ(half[i + rot / 2], interleaved[2 * i + 1]);
  }
}

RIDGELINE_INSTANTIATE_VECTOR_TESTS(Elementwise);

}  // namespace
}  // namespace ridgeline::test
