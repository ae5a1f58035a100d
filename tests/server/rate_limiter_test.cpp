#include "ridgeline/server/limits/rate_limiter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace ridgeline {
namespace {

using ::testing::HasSubstr;

constexpr Clock::time_point kStart = Clock::time_point{} + std::chrono::hours(1000);

Clock::time_point at(double seconds) {
  return kStart +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

ApiKey key_with(KeyLimits limits, std::uint64_t tenant = 1) {
  ApiKey key;
  key.name = "alice";
  key.tenant = tenant;
  key.limits = limits;
  return key;
}

std::string header(const Admission& admission, const std::string& name) {
  for (const auto& [key, value] : admission.headers) {
    if (key == name) return value;
  }
  return "absent";
}

TEST(RateLimiter, WithoutLimitsThereAreNoHeaders) {
  RateLimiter limiter;
  for (int i = 0; i < 1000; ++i) {
    const Admission admission = limiter.admit(key_with({}), 1'000'000, 1'000'000, at(0));
    EXPECT_TRUE(admission.admitted());
    EXPECT_TRUE(admission.headers.empty());
  }
}

TEST(RateLimiter, RequestsAMinute) {
  RateLimiter limiter;
  const ApiKey key = key_with({.requests_per_minute = 3});
  Admission admission = limiter.admit(key, 10, 10, at(0));
  EXPECT_TRUE(admission.admitted());
  EXPECT_EQ(header(admission, "x-ratelimit-limit-requests"), "3");
  EXPECT_EQ(header(admission, "x-ratelimit-remaining-requests"), "2");
  EXPECT_EQ(header(admission, "x-ratelimit-reset-requests"), "20s");
  EXPECT_EQ(header(admission, "x-ratelimit-limit-tokens"), "absent");
  EXPECT_EQ(header(admission, "Retry-After"), "absent");
  EXPECT_TRUE(limiter.admit(key, 10, 10, at(0)).admitted());
  EXPECT_TRUE(limiter.admit(key, 10, 10, at(0)).admitted());

  admission = limiter.admit(key, 10, 10, at(1.5));
  EXPECT_EQ(admission.refused_by, Admission::Limit::kRequests);
  EXPECT_EQ(header(admission, "Retry-After"), "19");
  EXPECT_EQ(header(admission, "retry-after-ms"), "18500");
  EXPECT_EQ(header(admission, "x-ratelimit-remaining-requests"), "0");
  EXPECT_THAT(admission.message, HasSubstr("'alice'"));
  EXPECT_THAT(admission.message, HasSubstr("3 requests a minute"));
  EXPECT_THAT(admission.message, HasSubstr("18.5s"));
  // Refusals cost nothing, and what Retry-After says holds.
  EXPECT_FALSE(limiter.admit(key, 10, 10, at(19.9)).admitted());
  EXPECT_TRUE(limiter.admit(key, 10, 10, at(20.001)).admitted());
  // Another key has its own.
  EXPECT_TRUE(
      limiter.admit(key_with({.requests_per_minute = 3}, 2), 10, 10, at(20.001)).admitted());
}

TEST(RateLimiter, TokensAreSetAsideAndSettled) {
  RateLimiter limiter;
  const ApiKey key = key_with({.tokens_per_minute = 1000});
  Admission first = limiter.admit(key, 100, 500, at(0));
  ASSERT_TRUE(first.admitted());
  EXPECT_EQ(header(first, "x-ratelimit-remaining-tokens"), "400");
  EXPECT_EQ(header(first, "x-ratelimit-reset-tokens"), "36s");

  const Admission second = limiter.admit(key, 100, 500, at(0));
  EXPECT_EQ(second.refused_by, Admission::Limit::kTokens);
  EXPECT_FALSE(second.too_large);
  EXPECT_EQ(header(second, "Retry-After"), "12");

  first.ticket.settle(150);  // 450 come back
  first.ticket.settle(1);    // once only
  const Admission third = limiter.admit(key, 100, 500, at(0));
  EXPECT_TRUE(third.admitted());
  EXPECT_EQ(header(third, "x-ratelimit-remaining-tokens"), "250");
}

TEST(RateLimiter, ALargeMaxTokensWaitsForAFullBucketAndMayLeaveADebt) {
  RateLimiter limiter;
  const ApiKey key = key_with({.tokens_per_minute = 1000});
  Admission admission = limiter.admit(key, 100, 100'000, at(0));
  ASSERT_TRUE(admission.admitted());
  EXPECT_EQ(header(admission, "x-ratelimit-remaining-tokens"), "0");
  admission.ticket.settle(3000);
  EXPECT_FALSE(limiter.admit(key, 1, 0, at(119)).admitted());
  EXPECT_TRUE(limiter.admit(key, 1, 0, at(121)).admitted());
}

TEST(RateLimiter, APromptBeyondAMinutesTokensIsTooLarge) {
  RateLimiter limiter;
  const Admission admission = limiter.admit(key_with({.tokens_per_minute = 1000}), 1001, 0, at(0));
  EXPECT_EQ(admission.refused_by, Admission::Limit::kTokens);
  EXPECT_TRUE(admission.too_large);
  EXPECT_EQ(header(admission, "Retry-After"), "absent");
  EXPECT_THAT(admission.message, HasSubstr("1001"));
}

TEST(RateLimiter, ConcurrentRequestsEndWithTheirTickets) {
  RateLimiter limiter;
  const ApiKey key = key_with({.tokens_per_minute = 1000, .concurrent_requests = 2});
  Admission first = limiter.admit(key, 10, 0, at(0));
  Admission second = limiter.admit(key, 10, 0, at(0));
  ASSERT_TRUE(first.admitted() && second.admitted());
  const Admission third = limiter.admit(key, 10, 0, at(0));
  EXPECT_EQ(third.refused_by, Admission::Limit::kConcurrent);
  EXPECT_EQ(header(third, "Retry-After"), "1");

  RateTicket moved = std::move(first.ticket);
  first.ticket = RateTicket();
  EXPECT_FALSE(limiter.admit(key, 10, 0, at(0)).admitted());
  moved = std::move(second.ticket);  // the one it held ends
  const Admission fourth = limiter.admit(key, 10, 0, at(0));
  EXPECT_TRUE(fourth.admitted());
  // The one that was not settled used nothing: two are out.
  EXPECT_EQ(header(fourth, "x-ratelimit-remaining-tokens"), "980");
}

TEST(RateLimiter, WhatWasUsedStaysUsedWhenALimitChanges) {
  RateLimiter limiter;
  for (int i = 0; i < 8; ++i) {
    EXPECT_TRUE(limiter.admit(key_with({.requests_per_minute = 10}), 1, 1, at(0)).admitted());
  }
  const Admission less = limiter.admit(key_with({.requests_per_minute = 5}), 1, 1, at(0));
  EXPECT_FALSE(less.admitted());
  const Admission more = limiter.admit(key_with({.requests_per_minute = 20}), 1, 1, at(0));
  EXPECT_TRUE(more.admitted());
  EXPECT_EQ(header(more, "x-ratelimit-remaining-requests"), "11");
  EXPECT_TRUE(limiter.admit(key_with({}), 1, 1, at(0)).headers.empty());
}

TEST(RateLimiter, NeverLetsInMoreThanItsRate) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 8; ++round) {
    const auto rpm = static_cast<std::int64_t>(1 + random() % 100);
    const auto tpm = static_cast<std::int64_t>(100 + random() % 10000);
    RateLimiter limiter;
    const ApiKey key = key_with({.requests_per_minute = rpm, .tokens_per_minute = tpm});
    double now = 0, used = 0, largest = 0;
    std::int64_t let_in = 0;
    for (int i = 0; i < 1000; ++i) {
      now += static_cast<double>(random() % 1000) / 1000;
      const auto prompt = static_cast<std::int64_t>(random() % 200);
      const auto output = static_cast<std::int64_t>(random() % 200);
      Admission admission = limiter.admit(key, prompt, output, at(now));
      if (!admission.admitted()) {
        EXPECT_EQ(admission.too_large, prompt > tpm);
        continue;
      }
      ++let_in;
      const auto actual = prompt + static_cast<std::int64_t>(random() % (output + 1));
      admission.ticket.settle(actual);
      used += static_cast<double>(actual);
      largest = std::max(largest, static_cast<double>(actual));
    }
    // A full bucket to begin with, then the rate; one request may overdraw.
    EXPECT_LE(static_cast<double>(let_in), static_cast<double>(rpm) * (1 + now / 60) + 1);
    EXPECT_LE(used, static_cast<double>(tpm) * (1 + now / 60) + largest);
    EXPECT_GT(let_in, 0);
  }
}

TEST(RateLimiter, ManyThreadsAndOneKey) {
  RateLimiter limiter;
  const ApiKey key = key_with({.requests_per_minute = 500, .concurrent_requests = 3});
  std::atomic<int> let_in{0}, inside{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        Admission admission = limiter.admit(key, 1, 1, at(0));
        if (!admission.admitted()) continue;
        EXPECT_LE(++inside, 3);
        ++let_in;
        --inside;
        admission.ticket.settle(2);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(let_in, 500);
  EXPECT_GT(let_in, 0);
}

TEST(RateLimitDuration, AsOpenAiWritesThem) {
  EXPECT_EQ(rate_limit_duration(0), "0ms");
  EXPECT_EQ(rate_limit_duration(-1), "0ms");
  EXPECT_EQ(rate_limit_duration(0.0001), "1ms");
  EXPECT_EQ(rate_limit_duration(0.12), "120ms");
  EXPECT_EQ(rate_limit_duration(1), "1s");
  EXPECT_EQ(rate_limit_duration(8.64), "8.64s");
  EXPECT_EQ(rate_limit_duration(59.9999), "1m0s");
  EXPECT_EQ(rate_limit_duration(360), "6m0s");
  EXPECT_EQ(rate_limit_duration(3661.5), "1h1m1.5s");
}

}  // namespace
}  // namespace ridgeline
