#include "ridgeline/engine/logprobs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

namespace ridgeline {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Against a sort in double precision, with ties.
TEST(Logprobs, AreThoseOfASortedSoftmax) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<float> logits(1 + random() % 300);
    for (float& l : logits) l = static_cast<float>(static_cast<int>(random() % 41) - 20) / 2;
    double total = 0;
    for (const float l : logits) total += std::exp(static_cast<double>(l));
    std::vector<std::size_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, [&](auto a, auto b) { return logits[a] > logits[b]; });

    const auto chosen = random() % logits.size();
    const int top = static_cast<int>(random() % 21);
    const TokenLogprobs result = token_logprobs(logits, static_cast<TokenId>(chosen), top);
    EXPECT_EQ(result.chosen.token, static_cast<TokenId>(chosen));
    EXPECT_NEAR(result.chosen.logprob, static_cast<double>(logits[chosen]) - std::log(total), 1e-5);
    EXPECT_EQ(result.chosen.rank,
              1 + std::ranges::count_if(logits, [&](float l) { return l > logits[chosen]; }));
    ASSERT_EQ(result.top.size(),
              std::min<std::size_t>(static_cast<std::size_t>(top), order.size()));
    for (std::size_t i = 0; i < result.top.size(); ++i) {
      EXPECT_EQ(result.top[i].token, static_cast<TokenId>(order[i]));
      EXPECT_EQ(result.top[i].rank, static_cast<std::int64_t>(i) + 1);
      EXPECT_NEAR(result.top[i].logprob, static_cast<double>(logits[order[i]]) - std::log(total),
                  1e-5);
    }
  }
}

TEST(Logprobs, WhatCannotBeIsMinusInfinity) {
  const TokenLogprobs result = token_logprobs(std::vector<float>{1.0f, -kInfinity, kNan}, 1, 3);
  EXPECT_EQ(result.chosen.logprob, -kInfinity);
  ASSERT_EQ(result.top.size(), 1u);
  EXPECT_EQ(result.top[0].token, 0);
  EXPECT_NEAR(result.top[0].logprob, 0.0, 1e-6);
}

}  // namespace
}  // namespace ridgeline
