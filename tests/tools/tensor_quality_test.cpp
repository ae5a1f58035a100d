#include "ridgeline/tools/ptq/tensor_quality.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace ridgeline::ptq {
namespace {

TEST(TensorQuality, IsTheRatioOfSignalToNoise) {
  const std::vector<float> w = {3, -4, 0}, rounded = {2, -4, 0.5f};
  TensorQuality quality;
  quality.add(w, rounded);
  EXPECT_EQ(quality.elements, 3);
  EXPECT_DOUBLE_EQ(quality.signal, 25);
  EXPECT_DOUBLE_EQ(quality.noise, 1.25);
  EXPECT_DOUBLE_EQ(quality.max_error, 1);
  EXPECT_NEAR(quality.sqnr_db(), 10 * std::log10(20.0), 1e-12);
}

TEST(TensorQuality, NothingLostIsInfinite) {
  const std::vector<float> w(300, 0.25f);
  TensorQuality quality;
  quality.add(w, w);
  EXPECT_EQ(quality.sqnr_db(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(quality.max_error, 0);
}

// Every size of remainder, values of every magnitude that F32 has, parts that are added.
TEST(TensorQuality, AgreesWithDoublePrecision) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (const float scale : {1.0f, 0.02f, 1e-18f, 1e-30f, 1e18f, 1e25f}) {
    for (const std::size_t n : {1u, 255u, 256u, 257u, 1000u, 4096u}) {
      std::vector<float> w(n), rounded(n);
      double signal = 0, noise = 0, largest = 0;
      for (std::size_t i = 0; i < n; ++i) {
        w[i] = normal(random) * scale;
        rounded[i] = w[i] + normal(random) * scale * 0.01f;
        const double error = static_cast<double>(w[i]) - static_cast<double>(rounded[i]);
        signal += static_cast<double>(w[i]) * static_cast<double>(w[i]);
        noise += error * error;
        largest = std::max(largest, std::abs(error));
      }
      TensorQuality whole, parts, half;
      whole.add(w, rounded);
      parts.add(std::span(w).first(n / 3), std::span(rounded).first(n / 3));
      half.add(std::span(w).subspan(n / 3), std::span(rounded).subspan(n / 3));
      parts.add(half);
      for (const TensorQuality& quality : {whole, parts}) {
        EXPECT_EQ(quality.elements, static_cast<std::int64_t>(n));
        EXPECT_NEAR(quality.sqnr_db(), 10 * std::log10(signal / noise), 1e-5) << scale << " " << n;
        EXPECT_NEAR(quality.max_error, largest, 1e-6 * largest);
      }
    }
  }
}

TEST(TensorQuality, WhatIsNoNumberShows) {
  std::vector<float> w(256, 1.0f), rounded(256, 1.0f);
  w[200] = std::nanf("");
  TensorQuality quality;
  quality.add(w, rounded);
  EXPECT_TRUE(std::isnan(quality.sqnr_db()));
}

}  // namespace
}  // namespace ridgeline::ptq
