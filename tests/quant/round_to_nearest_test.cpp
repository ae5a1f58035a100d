#include "ridgeline/quant/round_to_nearest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "tests/quant/gguf_matrices.h"

namespace ridgeline {
namespace {

using Granularity = RoundToNearest::Granularity;
using testing::HasSubstr;

RoundedMatrix rounded(const std::vector<float>& w, std::int64_t rows, std::int64_t cols,
                      const RoundToNearest& scheme) {
  auto result = round_to_nearest(w, rows, cols, scheme, "the matrix");
  EXPECT_TRUE(result) << result.error().message;
  return *std::move(result);
}

std::vector<float> restored(const RoundedMatrix& matrix) {
  std::vector<float> out(static_cast<std::size_t>(matrix.rows * matrix.cols));
  dequantize(matrix, out);
  return out;
}

double sqnr_db(const std::vector<float>& w, const std::vector<float>& back) {
  double signal = 0, noise = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double off = static_cast<double>(w[i]) - back[i];
    signal += static_cast<double>(w[i]) * w[i];
    noise += off * off;
  }
  return 10 * std::log10(signal / noise);
}

double sqnr_db(const Matrix& m, const RoundToNearest& scheme) {
  return sqnr_db(m.w, restored(rounded(m.w, m.rows, m.cols, scheme)));
}

std::vector<RoundToNearest> all_schemes() {
  std::vector<RoundToNearest> all;
  for (const int bits : {4, 8})
    for (const bool symmetric : {true, false}) {
      all.push_back({bits, symmetric, Granularity::kTensor, 0});
      all.push_back({bits, symmetric, Granularity::kChannel, 0});
      for (const int group : {32, 64, 128})
        all.push_back({bits, symmetric, Granularity::kGroup, group});
    }
  return all;
}

TEST(RoundToNearest, ErrorsAreWithinHalfAStep) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  constexpr std::int64_t kRows = 3, kCols = 256;
  for (const RoundToNearest& scheme : all_schemes())
    for (int round = 0; round < 60; ++round) {
      // Sizes from denormal to huge, shifts that leave all weights on one side of zero.
      const float size = std::ldexp(1.0f, 23 * (round % 11) - 130);
      const float shift = static_cast<float>(round % 5 - 2) * 2.0f;
      std::vector<float> w(kRows * kCols);
      for (float& v : w) v = size * (normal(random) + shift);
      if (round % 3 == 0) w[100] = size * 50;
      const RoundedMatrix matrix = rounded(w, kRows, kCols, scheme);
      const std::vector<float> back = restored(matrix);
      for (std::size_t i = 0; i < w.size(); ++i) {
        const auto g = static_cast<std::int64_t>(i) / matrix.group;
        const auto from = w.begin() + g * matrix.group;
        double greatest = 0;
        for (auto v = from; v != from + matrix.group; ++v)
          greatest = std::max(greatest, std::fabs(static_cast<double>(*v)));
        const double scale = matrix.scales[static_cast<std::size_t>(g)];
        ASSERT_LE(std::fabs(static_cast<double>(w[i]) - back[i]),
                  scale / 2 + std::ldexp(greatest, -22))
            << "bits " << scheme.bits << " symmetric " << scheme.symmetric << " group "
            << matrix.group << " size " << size << " shift " << shift << " element " << i;
      }
    }
}

TEST(RoundToNearest, ScalesAndZeroPointsAreTheFormulas) {
  const std::vector<float> w = {-1.0f, 0.61f, 0.0f, 2.0f};
  const RoundedMatrix symmetric = rounded(w, 1, 4, {8, true, Granularity::kChannel, 0});
  EXPECT_FLOAT_EQ(symmetric.scales[0], 2.0f / 127);
  EXPECT_TRUE(symmetric.zero_points.empty());
  EXPECT_EQ(static_cast<std::int8_t>(symmetric.codes[0]), -64);  // -63.5, away from zero
  EXPECT_EQ(static_cast<std::int8_t>(symmetric.codes[3]), 127);

  const RoundedMatrix asymmetric = rounded(w, 1, 4, {4, false, Granularity::kChannel, 0});
  EXPECT_FLOAT_EQ(asymmetric.scales[0], 3.0f / 15);
  ASSERT_EQ(asymmetric.zero_points.size(), 1u);
  EXPECT_EQ(asymmetric.zero_points[0], 5 - 8);
  std::array<std::int8_t, 4> levels;
  unpack_int4(asymmetric.codes.data(), levels);
  EXPECT_THAT(levels, testing::ElementsAre(-8, 0, -3, 7));
}

TEST(RoundToNearest, ZeroIsExactAndGroupsOfZerosAreToo) {
  for (const RoundToNearest& scheme : all_schemes()) {
    std::vector<float> w(2 * 128, 0.0f);
    for (const float v : restored(rounded(w, 2, 128, scheme))) EXPECT_EQ(v, 0.0f);
    for (std::size_t i = 1; i < w.size(); i += 2) w[i] = static_cast<float>(i) - 90.25f;
    const auto back = restored(rounded(w, 2, 128, scheme));
    for (std::size_t i = 0; i < w.size(); i += 2) EXPECT_EQ(back[i], 0.0f);
  }
}

TEST(RoundToNearest, FinerGranularityHasAScaleForEachPart) {
  const std::vector<float> w(4 * 256, 1.0f);
  const auto scales = [&](Granularity granularity, std::int64_t group) {
    return rounded(w, 4, 256, {8, true, granularity, group}).scales.size();
  };
  EXPECT_EQ(scales(Granularity::kTensor, 0), 1u);
  EXPECT_EQ(scales(Granularity::kChannel, 0), 4u);
  EXPECT_EQ(scales(Granularity::kGroup, 128), 8u);
  EXPECT_EQ(scales(Granularity::kGroup, 32), 32u);
  EXPECT_DOUBLE_EQ(rounded(w, 4, 256, {4, false, Granularity::kGroup, 32}).bits_per_weight(),
                   4 + 40.0 / 32);
}

TEST(RoundToNearest, WhatCannotBeRoundedIsASentence) {
  const std::vector<float> w(2 * 96, 1.0f);
  const auto message = [&](const std::vector<float>& weights, const RoundToNearest& scheme) {
    const auto result = round_to_nearest(weights, 2, 96, scheme, "blk.0.attn_q.weight");
    return result ? std::string() : result.error().message;
  };
  EXPECT_EQ(message(w, {8, true, Granularity::kGroup, 64}),
            "blk.0.attn_q.weight has rows of 96 elements, which groups of 64 do not divide");
  EXPECT_THAT(message(w, {8, true, Granularity::kGroup, 48}), HasSubstr("groups of 48"));
  EXPECT_THAT(message(w, {8, true, Granularity::kGroup, 0}), HasSubstr("groups of 0"));
  EXPECT_THAT(message(w, {3, true, Granularity::kTensor, 0}), HasSubstr("3 bits"));
  std::vector<float> odd = w;
  odd[97] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(message(odd, {8, true, Granularity::kTensor, 0}),
            "blk.0.attn_q.weight has inf in row 1, column 1; only finite weights can be rounded");
}

TEST(PackInt4, EveryPairOfLevelsComesBack) {
  for (int low = -8; low < 8; ++low)
    for (int high = -8; high < 8; ++high) {
      const std::array<std::int8_t, 2> pair = {static_cast<std::int8_t>(low),
                                               static_cast<std::int8_t>(high)};
      std::uint8_t byte;
      pack_int4(pair, &byte);
      EXPECT_EQ(byte, (low & 15) + 16 * (high & 15));
      std::array<std::int8_t, 2> back;
      unpack_int4(&byte, back);
      EXPECT_EQ(back, pair);
    }
  const std::array<std::int8_t, 3> odd = {-8, 7, -1};
  std::array<std::uint8_t, 2> bytes;
  pack_int4(odd, bytes.data());
  EXPECT_THAT(bytes, testing::ElementsAre(0x78, 0x0f));
}

// An odd width packs each row by itself.
TEST(RoundToNearest, RowsOfOddWidthDoNotShareBytes) {
  const std::vector<float> w = {1, 2, 7, -7, 3, 0};
  const RoundedMatrix matrix = rounded(w, 2, 3, {4, true, Granularity::kTensor, 0});
  EXPECT_EQ(matrix.codes.size(), 4u);
  EXPECT_EQ(restored(matrix), w);
}

/// The largest element in units of the root mean square: what one scale for all pays for.
double crest(const Matrix& m) {
  double squares = 0, greatest = 0;
  for (const float v : m.w) {
    squares += static_cast<double>(v) * v;
    greatest = std::max(greatest, std::fabs(static_cast<double>(v)));
  }
  return greatest / std::sqrt(squares / static_cast<double>(m.w.size()));
}

constexpr RoundToNearest kInt8PerTensor{8, true, Granularity::kTensor, 0};
constexpr RoundToNearest kInt8PerChannel{8, true, Granularity::kChannel, 0};
constexpr RoundToNearest kInt8InGroups{8, true, Granularity::kGroup, 128};

// One scale for a tensor loses 20 log10 of its crest against a normal distribution's; groups of
// 128 have crests near 2.7, whatever the tensor. So 7 dB is what groups gain wherever a
// tensor's largest element exceeds about 6.5 times its root mean square; the ratio is 5 to 6 in
// matrices without outliers.
TEST(RoundToNearest, GroupsGainSevenDecibelsOnTrainedMatricesWithOutliers) {
  const auto matrices =
      GgufMatrices::read(std::string(RIDGELINE_SHARED_DATA) + "/models/fireside-f16.gguf");
  if (matrices.empty())
    GTEST_SKIP() << "there is no " RIDGELINE_SHARED_DATA "/models/fireside-f16.gguf";
  std::printf("%-28s %6s %11s %11s %11s %7s\n", "SQNR of INT8 in dB", "crest", "per tensor",
              "per channel", "in 128s", "gain");
  int with_outliers = 0;
  std::vector<double> gains;
  for (const Matrix& m : matrices) {
    const double tensor = sqnr_db(m, kInt8PerTensor), channel = sqnr_db(m, kInt8PerChannel),
                 groups = sqnr_db(m, kInt8InGroups), gain = groups - tensor;
    std::printf("%-28s %6.1f %11.2f %11.2f %11.2f %7.2f\n", m.name.c_str(), crest(m), tensor,
                channel, groups, gain);
    gains.push_back(gain);
    EXPECT_GT(channel, tensor) << m.name;
    EXPECT_GT(groups, channel) << m.name;
    EXPECT_GT(groups, 42) << m.name;
    if (crest(m) < 7.0) continue;
    ++with_outliers;
    EXPECT_GE(gain, 7.0) << m.name;
  }
  std::ranges::sort(gains);
  std::printf("%zu matrices, %d with outliers; gain of groups of 128: median %.2f dB\n",
              gains.size(), with_outliers, gains[gains.size() / 2]);
  EXPECT_GE(with_outliers, 8);
}

}  // namespace
}  // namespace ridgeline
