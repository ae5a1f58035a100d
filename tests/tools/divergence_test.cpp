#include "ridgeline/tools/divergence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace ridgeline {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

/// ln of the probabilities, in long double.
std::vector<long double> log_probabilities(const std::vector<float>& logits) {
  long double max = logits[0], sum = 0;
  for (const float l : logits) max = std::max<long double>(max, l);
  for (const float l : logits) sum += std::exp(static_cast<long double>(l) - max);
  std::vector<long double> result;
  for (const float l : logits) result.push_back(static_cast<long double>(l) - max - std::log(sum));
  return result;
}

TEST(Divergence, OfTwoCoins) {
  // p = 1/2, 1/2; q = 1/4, 3/4.
  const std::vector<float> base = {0, 0}, model = {0, std::log(3.0f)};
  const PositionComparison c = compare_position(base, model, 0);
  EXPECT_NEAR(c.kl, 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3), 1e-7);
  EXPECT_NEAR(c.base_nll, std::log(2.0), 1e-12);
  EXPECT_NEAR(c.nll, std::log(4.0), 1e-7);
  EXPECT_FALSE(c.same_top);  // of the base's the first
  EXPECT_TRUE(compare_position(base, base, 1).same_top);
}

TEST(Divergence, IsExactlyNothingFromItself) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0, 8);
  std::vector<float> logits(5000), moved(5000);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    logits[i] = std::round(normal(random) * 1024) / 1024;
    moved[i] = logits[i] + 64;  // probabilities stay
  }
  EXPECT_EQ(compare_position(logits, logits, 7).kl, 0);
  EXPECT_EQ(compare_position(logits, moved, 7).kl, 0);
}

TEST(Divergence, AgreesWithLongDouble) {
  std::mt19937 random(4);
  for (const float spread : {0.1f, 1.0f, 10.0f, 300.0f})
    for (const float change : {1e-4f, 0.01f, 1.0f}) {
      std::normal_distribution<float> normal;
      std::vector<float> base(3000), model(3000);
      for (std::size_t i = 0; i < base.size(); ++i) {
        base[i] = spread * normal(random);
        model[i] = base[i] + change * normal(random);
      }
      const auto p = log_probabilities(base), q = log_probabilities(model);
      long double kl = 0;
      for (std::size_t i = 0; i < p.size(); ++i) kl += std::exp(p[i]) * (p[i] - q[i]);
      const PositionComparison c = compare_position(base, model, 11);
      EXPECT_NEAR(c.kl, static_cast<double>(kl), 1e-12 * (1 + static_cast<double>(kl)));
      EXPECT_NEAR(c.nll, static_cast<double>(-q[11]), 1e-12 * (1 + c.nll));
      EXPECT_NEAR(c.base_nll, static_cast<double>(-p[11]), 1e-12 * (1 + c.base_nll));
    }
}

// exp() of these logits is 0, their logarithms are not.
TEST(Divergence, CountsWhatUnderflows) {
  const std::vector<float> base = {5000, 4999}, model = {-2000, 5000};
  const double p0 = 1 / (1 + std::exp(-1.0));
  const PositionComparison c = compare_position(base, model, 0);
  EXPECT_NEAR(c.kl, p0 * 7000 + p0 * std::log(p0) + (1 - p0) * std::log(1 - p0), 1e-9);
  EXPECT_EQ(c.nll, 7000);
  // A token that the base excludes costs nothing; one that only the model excludes, everything.
  const std::vector<float> without = {1, kMinusInfinity}, with = {1, 1};
  EXPECT_NEAR(compare_position(without, with, 0).kl, std::log(2.0), 1e-12);
  EXPECT_EQ(compare_position(without, without, 0).kl, 0);
  EXPECT_EQ(compare_position(with, without, 0).kl, std::numeric_limits<double>::infinity());
}

TEST(Divergence, DamagedLogitsAreNotFinite) {
  const float nan = std::nanf("");
  const std::vector<float> good = {1, 2, 3}, bad = {1, nan, 3}, first = {nan, 1, 2};
  for (const auto& logits : {bad, first}) {
    EXPECT_FALSE(std::isfinite(negative_log_likelihood(logits, 2)));
    EXPECT_FALSE(std::isfinite(compare_position(good, logits, 2).nll));
    EXPECT_FALSE(std::isfinite(compare_position(logits, good, 2).base_nll));
  }
}

TEST(Divergence, StatisticsOfAHundredPositions) {
  DivergenceStatistics statistics;
  EXPECT_EQ(statistics.result().positions, 0);
  // kl 100, 99, ... 1; p = 1/2 of the token that came, q = 1/4 of every second.
  for (int i = 100; i >= 1; --i)
    statistics.add({.base_nll = std::log(2.0),
                    .nll = i % 2 == 0 ? std::log(4.0) : std::log(2.0),
                    .kl = static_cast<double>(i),
                    .same_top = i <= 80});
  const DivergenceResult r = statistics.result();
  EXPECT_EQ(r.positions, 100);
  EXPECT_DOUBLE_EQ(r.kl_mean, 50.5);
  EXPECT_DOUBLE_EQ(r.kl_median, 50.5);
  EXPECT_DOUBLE_EQ(r.kl_p99, 99.01);  // numpy.percentile(range(1, 101), 99)
  EXPECT_DOUBLE_EQ(r.kl_max, 100);
  EXPECT_NEAR(r.kl_stderr, std::sqrt(100.0 * 101 / 12 / 100), 1e-12);
  EXPECT_DOUBLE_EQ(r.top1, 0.8);
  EXPECT_NEAR(r.top1_stderr, std::sqrt(0.8 * 0.2 / 99), 1e-15);
  EXPECT_NEAR(r.delta_p_mean, -0.125, 1e-15);
  EXPECT_NEAR(r.delta_p_rms, 0.25 * std::sqrt(0.5), 1e-15);
  EXPECT_NEAR(r.log_perplexity_ratio, 0.5 * std::log(2.0), 1e-15);
  EXPECT_NEAR(r.log_perplexity_ratio_stderr, 0.5 * std::log(2.0) / std::sqrt(99), 1e-12);
}

}  // namespace
}  // namespace ridgeline
