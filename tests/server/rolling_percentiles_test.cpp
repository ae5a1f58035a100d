#include "ridgeline/server/metrics/rolling_percentiles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <thread>
#include <vector>

namespace ridgeline {
namespace {

Clock::time_point at(double seconds) {
  return Clock::time_point{} +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

double exact_quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  const double rank = std::ceil(q * static_cast<double>(values.size()));
  return values[static_cast<std::size_t>(std::max(1.0, rank)) - 1];
}

TEST(RollingPercentiles, WithinTheirErrorOfTheExactOnes) {
  std::mt19937_64 random(5);
  std::lognormal_distribution<double> latencies(-3, 1.5);
  std::exponential_distribution<double> waits(0.1);
  for (int round = 0; round < 40; ++round) {
    RollingPercentiles rolling;
    std::vector<double> values;
    const std::size_t count = 1 + random() % 3000;
    for (std::size_t i = 0; i < count; ++i) {
      double value = round % 2 == 0 ? latencies(random) : waits(random);
      value = std::max(value, 2e-6);
      values.push_back(value);
      rolling.observe(value, at(100 + static_cast<double>(i % 50)));
    }
    const auto snapshot = rolling.snapshot(at(150));
    ASSERT_EQ(snapshot.count, count);
    for (const double q : {0.0, 0.5, 0.9, 0.95, 0.99, 1.0}) {
      const double exact = exact_quantile(values, q);
      EXPECT_NEAR(snapshot.quantile(q), exact, exact * (RollingPercentiles::kRelativeError + 1e-12))
          << q << " of " << count;
    }
  }
}

TEST(RollingPercentiles, ForgetsWhatIsOlderThanItsWindow) {
  RollingPercentiles rolling;
  EXPECT_EQ(rolling.snapshot(at(0)).count, 0u);
  EXPECT_EQ(rolling.snapshot(at(0)).quantile(0.5), 0);
  // One a second for ten minutes: what is left is the last minute and the running slice.
  for (unsigned second = 0; second < 600; ++second) {
    rolling.observe(second + 1, at(second));
    const auto snapshot = rolling.snapshot(at(second));
    EXPECT_LE(snapshot.count, 65u);
    EXPECT_GE(snapshot.count, std::min(second + 1u, 60u));
    const double oldest = second + 1 - static_cast<double>(snapshot.count) + 1;
    EXPECT_NEAR(snapshot.quantile(0), oldest, oldest / 64);
  }
  EXPECT_EQ(rolling.snapshot(at(599 + 59)).count, 5u);
  EXPECT_EQ(rolling.snapshot(at(599 + 66)).count, 0u);
  EXPECT_EQ(rolling.snapshot(at(1e6)).count, 0u);
  // After a long silence the old slices are used anew.
  rolling.observe(0.25, at(1e6));
  EXPECT_EQ(rolling.snapshot(at(1e6)).count, 1u);
  EXPECT_NEAR(rolling.snapshot(at(1e6)).quantile(0.99), 0.25, 0.25 / 64);
}

TEST(RollingPercentiles, ValuesOutOfRangeCountAsItsEnds) {
  RollingPercentiles rolling;
  for (const double value :
       {0.0, -1.0, 1e-9, std::nan(""), -std::numeric_limits<double>::infinity()}) {
    rolling.observe(value, at(1));
  }
  EXPECT_LT(rolling.snapshot(at(1)).quantile(1), 1e-6);
  for (const double value : {1e9, std::numeric_limits<double>::infinity()}) {
    rolling.observe(value, at(100));
  }
  EXPECT_NEAR(rolling.snapshot(at(100)).quantile(0.5), 16384, 300);
}

TEST(RollingPercentiles, ManyThreads) {
  RollingPercentiles rolling;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&rolling] {
      for (int i = 0; i < 5000; ++i) rolling.observe(0.1, at(100 + i / 1000));
    });
  }
  for (int i = 0; i < 20; ++i) EXPECT_LE(rolling.snapshot(at(105)).count, 20000u);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(rolling.snapshot(at(105)).count, 20000u);
}

TEST(RollingRate, OfTheLastSeconds) {
  RollingRate rate;
  EXPECT_EQ(rate.per_second(at(5)), 0);
  for (int i = 0; i < 3000; ++i) rate.add(1, at(i / 100.0));
  EXPECT_NEAR(rate.per_second(at(29.999)), 100, 1);
  EXPECT_NEAR(rate.per_second(at(35)), 50, 1);
  EXPECT_EQ(rate.per_second(at(45)), 0);
  rate.add(50, at(60.5));
  EXPECT_NEAR(rate.per_second(at(60.5)), 50 / 10.5, 0.01);
}

}  // namespace
}  // namespace ridgeline
