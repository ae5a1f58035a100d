#include "ridgeline/engine/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <random>

#include "ridgeline/engine/random.h"
#include "tests/engine/reference_sampler.h"

namespace ridgeline {
namespace {

using test::expect_distribution;
using test::ReferenceSampler;
using ::testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

SamplingParams unfiltered() {
  SamplingParams params;
  params.temperature = 1.0;
  params.top_k = 0;
  params.top_p = 1.0;
  params.min_p = 0.0;
  return params;
}

SamplingParams greedy() {
  SamplingParams params;
  params.temperature = 0.0;
  return params;
}

// On a copy of the logits, as a model would make them anew for every position.
class SamplerTest : public ::testing::Test {
 protected:
  Result<TokenId> try_sample(const SamplingParams& params, std::vector<float> logits,
                             std::span<const TokenId> history = {}, std::uint64_t position = 0,
                             std::uint32_t choice = 0) {
    if (!sampler_ || size_ != logits.size()) {
      size_ = logits.size();
      sampler_.emplace(static_cast<int>(size_), end_tokens_);
    }
    return sampler_->sample(
        params,
        {.logits = logits, .history = history, .output_position = position, .choice = choice});
  }

  TokenId sample(const SamplingParams& params, const std::vector<float>& logits,
                 std::span<const TokenId> history = {}, std::uint64_t position = 0,
                 std::uint32_t choice = 0) {
    const auto sampled = try_sample(params, logits, history, position, choice);
    EXPECT_TRUE(sampled) << sampled.error().message;
    return sampled ? *sampled : -1;
  }

  std::map<TokenId, int> count_positions(const SamplingParams& params,
                                         const std::vector<float>& logits, int draws) {
    std::map<TokenId, int> counts;
    for (int i = 0; i < draws; ++i)
      ++counts[sample(params, logits, {}, static_cast<std::uint64_t>(i))];
    return counts;
  }

  std::vector<TokenId> end_tokens_;

 private:
  std::size_t size_ = 0;
  std::optional<Sampler> sampler_;
};

const std::vector<float> kEightLogits = {1.5f, -0.3f, 2.0f, 0.0f, 0.9f, -2.0f, 1.1f, 0.4f};

TEST_F(SamplerTest, DrawsTheExactDistribution) {
  struct Case {
    const char* name;
    std::function<void(SamplingParams&)> set;
  };
  const Case cases[] = {
      {"softmax", [](auto&) {}},
      {"cold", [](auto& p) { p.temperature = 0.5; }},
      {"hot", [](auto& p) { p.temperature = 3.0; }},
      {"top_k", [](auto& p) { p.top_k = 3; }},
      {"top_p", [](auto& p) { p.top_p = 0.8; }},
      {"min_p", [](auto& p) { p.min_p = 0.3; }},
      {"typical", [](auto& p) { p.typical_p = 0.6; }},
      {"all",
       [](auto& p) {
         p.top_k = 6, p.typical_p = 0.95, p.top_p = 0.9, p.min_p = 0.1, p.temperature = 1.7;
       }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    SamplingParams params = unfiltered();
    c.set(params);
    ReferenceSampler reference(kEightLogits);
    reference.narrow(params);
    ASSERT_FALSE(reference.ambiguous());
    expect_distribution(count_positions(params, kEightLogits, 20000),
                        reference.distribution(params.temperature));
  }
}

// Successive positions, parallel choices and seeds are each as good a source as the other,
// and successive draws are independent.
TEST_F(SamplerTest, SeedsChoicesAndPairsOfPositionsAreIndependentDraws) {
  const SamplingParams params = unfiltered();
  const auto expected = ReferenceSampler(kEightLogits).distribution(1.0);
  std::map<TokenId, int> by_choice, by_seed, by_pair;
  for (std::uint32_t i = 0; i < 40000; ++i) {
    ++by_choice[sample(params, kEightLogits, {}, 17, i)];
    SamplingParams seeded = params;
    seeded.seed = i;
    ++by_seed[sample(seeded, kEightLogits)];
    const TokenId first = sample(params, kEightLogits, {}, 2 * i);
    ++by_pair[first * 8 + sample(params, kEightLogits, {}, 2 * i + 1)];
  }
  expect_distribution(by_choice, expected);
  expect_distribution(by_seed, expected);
  std::map<TokenId, double> expected_pairs;
  for (const auto& [a, p] : expected) {
    for (const auto& [b, q] : expected) expected_pairs[a * 8 + b] = p * q;
  }
  expect_distribution(by_pair, expected_pairs);
}

// The whole chain, token for token: the reference inverts its cumulative distribution (in
// order of id) at the same random number.
TEST_F(SamplerTest, AgreesWithTheReferenceOnRandomChains) {
  std::mt19937 random(3);
  const auto share = [&] { return std::uniform_real_distribution<double>(0.0, 1.0)(random); };
  int compared = 0, ambiguous = 0;
  for (const int size : {1, 2, 7, 33, 100, 1000, 4099, 32003}) {
    for (int round = 0; round < (size > 1000 ? 30 : 200); ++round) {
      std::normal_distribution<float> normal(-10.0f, 0.5f + 4.0f * static_cast<float>(share()));
      std::vector<float> logits(static_cast<std::size_t>(size));
      for (float& logit : logits) logit = random() % 50 == 0 ? -kInfinity : normal(random);
      SamplingParams params = unfiltered();
      params.seed = random();
      params.temperature = 0.1 + 2 * share();
      if (random() % 2) params.top_k = static_cast<int>(random() % 200);
      if (random() % 3 == 0) params.typical_p = share();
      if (random() % 2) params.top_p = share();
      if (random() % 2) params.min_p = share() * share() * share();
      ReferenceSampler reference(logits);
      if (reference.ids().empty()) continue;
      reference.narrow(params);
      if (params.top_k == 1 || reference.ambiguous()) {
        ++ambiguous;
        continue;
      }
      const auto distribution = reference.distribution(params.temperature);
      for (std::uint64_t position = 0; position < 5; ++position) {
        const double u = random_uniform(params.seed, position, 9, RandomUse::kToken);
        double reached = 0;
        TokenId expected = -1;
        bool near = false;
        for (const auto& [token, probability] : distribution) {
          if (expected < 0 && probability > 0 && reached + probability > u) expected = token;
          reached += probability;
          near |= std::fabs(reached - u) < 1e-6;
        }
        const TokenId actual = sample(params, logits, {}, position, 9);
        if (near) {
          EXPECT_TRUE(distribution.contains(actual));
          ++ambiguous;
        } else {
          ASSERT_EQ(actual, expected) << "size " << size << " round " << round;
          ++compared;
        }
      }
    }
  }
  EXPECT_GT(compared, 3000);
  EXPECT_GT(compared, 10 * ambiguous);
}

TEST_F(SamplerTest, IsAFunctionOfItsArguments) {
  const SamplingParams params = unfiltered();
  const std::vector<TokenId> history = {1, 2, 3}, other_history = {7, 7};
  std::vector<TokenId> forward, backward;
  for (std::uint64_t i = 0; i < 200; ++i)
    forward.push_back(sample(params, kEightLogits, history, i));
  // In another order, after other sequences' tokens, and in a sampler of its own.
  sample(greedy(), std::vector<float>(50, 1.0f));
  for (std::uint64_t i = 200; i-- > 0;) {
    SamplingParams other = params;
    other.seed = 99 + i;
    other.presence_penalty = 3;
    sample(other, kEightLogits, other_history, i, 5);
    backward.push_back(sample(params, kEightLogits, history, i));
  }
  std::ranges::reverse(backward);
  EXPECT_EQ(forward, backward);
  // Neutral penalties see no history.
  for (std::uint64_t i = 0; i < 200; ++i) {
    ASSERT_EQ(sample(params, kEightLogits, other_history, i), forward[i]);
  }
}

TEST_F(SamplerTest, GreedyTakesTheHighestLogitAndOfEqualsTheLowestId) {
  EXPECT_EQ(sample(greedy(), kEightLogits), 2);
  EXPECT_EQ(sample(greedy(), {1, 3, 2, 3, 3}), 1);
  EXPECT_EQ(sample(greedy(), {-0.0f, 0.0f}), 0);
  EXPECT_EQ(sample(greedy(), std::vector<float>(77, -1e30f)), 0);
  SamplingParams top_1 = unfiltered();
  top_1.top_k = 1;
  EXPECT_EQ(sample(top_1, {1, 3, 2, 3, 3}), 1);
}

TEST_F(SamplerTest, NanCountsAsMinusInfinity) {
  for (std::uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(sample(unfiltered(), {kNan, 1.0f, -kInfinity, kNan, kNan}, {}, i), 1);
    EXPECT_EQ(sample(SamplingParams{}, {kNan, -1e30f, -kInfinity, kNan, kNan}, {}, i), 1);
  }
  EXPECT_EQ(sample(greedy(), {kNan, -8.0f, kNan}), 1);
}

TEST_F(SamplerTest, NoUsableLogitIsAnError) {
  for (const SamplingParams& params : {greedy(), unfiltered(), SamplingParams{}}) {
    for (const float value : {kNan, -kInfinity}) {
      const auto sampled = try_sample(params, std::vector<float>(1000, value), {}, 12);
      ASSERT_FALSE(sampled);
      EXPECT_THAT(sampled.error().message, HasSubstr("output position 12"));
      EXPECT_THAT(sampled.error().message, HasSubstr("1000 logits"));
    }
  }
}

TEST_F(SamplerTest, PlusInfinityLeavesOnlySuchTokens) {
  const std::vector<float> logits = {5.0f, kInfinity, kNan, kInfinity, -kInfinity};
  EXPECT_EQ(sample(greedy(), logits), 1);
  for (SamplingParams params : {unfiltered(), SamplingParams{}}) {
    expect_distribution(count_positions(params, logits, 2000), {{1, 0.5}, {3, 0.5}});
    params.typical_p = 0.9;
    expect_distribution(count_positions(params, logits, 2000), {{1, 0.5}, {3, 0.5}});
  }
}

TEST_F(SamplerTest, ExtremeParametersAndLogits) {
  SamplingParams coldest = unfiltered();
  coldest.temperature = 1e-300;
  SamplingParams hottest = unfiltered();
  hottest.temperature = 1e6;
  const std::vector<float> close = {1.0f, 1.0000001f, 0.9999999f};
  EXPECT_EQ(count_positions(coldest, close, 100).size(), 1u);
  EXPECT_EQ(sample(coldest, close), 1);
  expect_distribution(count_positions(coldest, {2, 3, 3, 1}, 2000), {{1, 0.5}, {2, 0.5}});
  expect_distribution(count_positions(hottest, {50, 0, -50, 20}, 4000),
                      {{0, 0.25}, {1, 0.25}, {2, 0.25}, {3, 0.25}});

  constexpr float kHuge = std::numeric_limits<float>::max();
  for (const SamplingParams& params : {unfiltered(), SamplingParams{}, greedy()}) {
    EXPECT_EQ(sample(params, {-kHuge, kHuge, 0.0f}), 1);
    EXPECT_EQ(sample(params, {-kHuge, -kInfinity}), 0);
    EXPECT_EQ(sample(params, {42.0f}), 0);
  }
  SamplingParams all_equal = unfiltered();
  all_equal.top_k = 1000;  // more than the vocabulary
  all_equal.min_p = 1.0;
  expect_distribution(count_positions(all_equal, {7, 7, 7, 7}, 4000),
                      {{0, 0.25}, {1, 0.25}, {2, 0.25}, {3, 0.25}});
}

// The filters judge the model's distribution; temperature then only reweighs what is left.
TEST_F(SamplerTest, TemperatureComesLast) {
  SamplingParams params = unfiltered();
  params.min_p = 0.5;
  params.temperature = 100.0;
  const std::vector<float> logits = {0.0f, std::log(0.6f), std::log(0.4f)};
  for (const auto& [token, count] : count_positions(params, logits, 500)) EXPECT_NE(token, 2);
}

TEST_F(SamplerTest, LogitBiasMovesForbidsAndForces) {
  SamplingParams params = greedy();
  params.logit_bias = {{5, 10.0f}};
  EXPECT_EQ(sample(params, kEightLogits), 5);
  params.logit_bias = {{2, -kInfinity}};
  EXPECT_EQ(sample(params, kEightLogits), 0);
  params.logit_bias = {{3, kInfinity}};
  EXPECT_EQ(sample(params, kEightLogits), 3);
  EXPECT_EQ(sample(params, {0.0f, 1.0f, 2.0f, -kInfinity}), 3);
  EXPECT_EQ(sample(params, {0.0f, 1.0f, 2.0f, kNan}), 3);
  params.logit_bias = {{2, 1.0f}, {2, -1.25f}};  // biases of one token add up
  EXPECT_EQ(sample(params, {0.0f, 1.9f, 2.0f}), 1);
  params.logit_bias = {{100, 5.0f}};
  EXPECT_EQ(sample(params, {0.0f, 1.9f, 2.0f}), 2);

  SamplingParams forbid_all = unfiltered();
  forbid_all.logit_bias = {{0, -kInfinity}, {1, -kInfinity}};
  EXPECT_FALSE(try_sample(forbid_all, {1.0f, 2.0f}));
}

TEST_F(SamplerTest, PenaltiesByHand) {
  SamplingParams params = greedy();
  params.repetition_penalty = 2.0;
  params.presence_penalty = 0.5;
  params.frequency_penalty = 0.25;
  params.repeat_last_n = -1;
  // Token 0 twice: 4 / 2 - 0.5 - 2 * 0.25 = 1. Token 1 once: -1 * 2 - 0.75 = -2.75.
  // Tokens -5 and 99 are in no vocabulary of four.
  const std::vector<TokenId> history = {0, 1, -5, 99, 0};
  const std::vector<float> expected = {1.0f, -2.75f, 0.5f, -3.0f};
  std::vector<float> logits = {4.0f, -1.0f, 0.5f, -3.0f};
  Sampler sampler(4);
  const auto sampled = sampler.sample(params, {.logits = logits, .history = history});
  ASSERT_TRUE(sampled);
  EXPECT_EQ(*sampled, 0);
  EXPECT_EQ(logits, expected);
  // Nothing of the first call's counts is left.
  logits = {4.0f, -1.0f, 0.5f, -3.0f};
  ASSERT_TRUE(sampler.sample(params, {.logits = logits, .history = history}));
  EXPECT_EQ(logits, expected);
}

TEST_F(SamplerTest, PenaltiesLookAtTheLastTokensOnly) {
  SamplingParams params = greedy();
  params.presence_penalty = 10.0;
  const std::vector<TokenId> history = {1, 0, 2};
  const std::vector<float> logits = {2.0f, 1.0f, 3.0f};
  const auto with_last = [&](int n) {
    params.repeat_last_n = n;
    return sample(params, logits, history);
  };
  EXPECT_EQ(with_last(0), 2);
  EXPECT_EQ(with_last(1), 0);
  EXPECT_EQ(with_last(2), 1);
  EXPECT_EQ(with_last(3), 2);  // all three lost ten
  EXPECT_EQ(with_last(4), 2);
  EXPECT_EQ(with_last(-1), 2);
  params.frequency_penalty = 1.0;
  const std::vector<TokenId> twice = {2, 2, 0, 0, 1};
  params.repeat_last_n = -1;  // 2 - 12, 1 - 11, 3 - 12
  EXPECT_EQ(sample(params, logits, twice), 2);
  params.repeat_last_n = 1;
  EXPECT_EQ(sample(params, logits, twice), 2);
  params.repeat_last_n = 64;
  EXPECT_EQ(sample(params, {2.0f, 2.5f, 3.0f}, twice), 1);  // -10, -8.5, -9
  // The window ends before both of token 2: it is untouched.
  params.repeat_last_n = 3;
  EXPECT_EQ(sample(params, {2.0f, 2.5f, -1.0f}, twice), 2);
}

TEST_F(SamplerTest, NegativePenaltiesEncourage) {
  SamplingParams params = greedy();
  params.frequency_penalty = -1.0;
  const std::vector<TokenId> history = {1, 1, 1};
  EXPECT_EQ(sample(params, {2.0f, 0.0f}, history), 1);
}

TEST_F(SamplerTest, EndTokensAreForbiddenWhereTheRequestSaysSo) {
  end_tokens_ = {2, 6};
  SamplingParams params = greedy();
  EXPECT_EQ(sample(params, kEightLogits), 2);
  params.ignore_eos = true;
  EXPECT_EQ(sample(params, kEightLogits), 0);
  params.ignore_eos = false;
  params.min_tokens = 3;
  params.stop_token_ids = {0};
  for (std::uint64_t position = 0; position < 5; ++position) {
    EXPECT_EQ(sample(params, kEightLogits, {}, position), position < 3 ? 4 : 2);
  }
}

// What distribution() says is what sample() draws from: the reference's probabilities after the
// same filters, and the same draw at the same random number.
TEST_F(SamplerTest, TheDistributionIsThatOfTheDraws) {
  std::mt19937 random(11);
  const auto share = [&] { return std::uniform_real_distribution<double>(0.0, 1.0)(random); };
  int compared = 0;
  for (int round = 0; round < 200; ++round) {
    const int size = round % 2 == 0 ? 50 : 3000;
    std::vector<float> logits(static_cast<std::size_t>(size));
    for (float& logit : logits) logit = static_cast<float>(8 * share());
    logits[7] = -kInfinity;
    SamplingParams params = unfiltered();
    params.temperature = 0.3 + share();
    params.seed = random();
    if (round % 3 == 0) params.top_k = 1 + static_cast<int>(20 * share());
    if (round % 4 == 0) params.top_p = 0.3 + 0.7 * share();
    if (round % 5 == 0) params.min_p = 0.3 * share();
    if (round % 7 == 0) params.typical_p = 0.5 + 0.5 * share();
    params.logit_bias = {{3, -kInfinity}, {5, 2.0F}};
    params.presence_penalty = 1.5;
    const std::vector<TokenId> history = {1, 2, 9};

    std::vector<float> adjusted = logits;
    adjusted[3] = -kInfinity;
    adjusted[5] += 2.0F;
    for (const TokenId id : history) adjusted[static_cast<std::size_t>(id)] -= 1.5F;
    ReferenceSampler reference(adjusted);
    reference.narrow(params);
    if (reference.ambiguous()) continue;
    ++compared;

    Sampler sampler(size);
    std::vector<TokenProbability> given;
    std::vector<float> scratch = logits;
    const SampleRequest request{.logits = scratch, .history = history, .output_position = 4};
    ASSERT_TRUE(sampler.distribution(params, request, given));
    const auto expected = reference.distribution(params.temperature);
    ASSERT_EQ(given.size(), expected.size());
    for (const TokenProbability& p : given) {
      ASSERT_TRUE(expected.contains(p.token));
      EXPECT_NEAR(static_cast<double>(p.probability), expected.at(p.token), 1e-5);
    }
    EXPECT_TRUE(std::ranges::is_sorted(given, {}, &TokenProbability::token));
    EXPECT_EQ(draw(given, random_uniform(params.seed, 4, 0, RandomUse::kToken)),
              sample(params, logits, history, 4));
  }
  EXPECT_GT(compared, 150);
}

TEST_F(SamplerTest, TheDistributionOfAGreedyChoiceIsOneToken) {
  Sampler sampler(8);
  std::vector<TokenProbability> given{{4, 0.5F}};
  std::vector<float> logits = kEightLogits;
  ASSERT_TRUE(sampler.distribution(greedy(), {.logits = logits, .history = {}}, given));
  ASSERT_EQ(given.size(), 1U);
  EXPECT_EQ(given[0].token, 2);
  EXPECT_EQ(given[0].probability, 1.0F);
  SamplingParams best = unfiltered();
  best.top_k = 1;
  ASSERT_TRUE(sampler.distribution(best, {.logits = logits, .history = {}}, given));
  ASSERT_EQ(given.size(), 1U);
  std::vector<float> nothing(8, kNan);
  for (const SamplingParams& params : {greedy(), unfiltered()}) {
    const Status status = sampler.distribution(params, {.logits = nothing, .history = {}}, given);
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().message, HasSubstr("no token to choose"));
  }
}

}  // namespace
}  // namespace ridgeline
