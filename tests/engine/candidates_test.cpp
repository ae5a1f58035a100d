#include "ridgeline/engine/candidates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "ridgeline/engine/logit_scan.h"
#include "tests/engine/reference_sampler.h"

namespace ridgeline {
namespace {

using test::ReferenceSampler;
using ::testing::ElementsAre;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Sizes round the vector widths and block sizes of the scans, and beyond them.
constexpr int kSizes[] = {1, 2, 3, 5, 15, 16, 17, 31, 33, 63, 100, 511, 1023, 1025, 5003, 9001};

// Every third list in steps of a quarter, so that there are many ties.
std::vector<float> random_logits(int size, std::mt19937& random) {
  std::normal_distribution<float> normal(0.0f, 0.5f + static_cast<float>(random() % 5));
  const bool steps = random() % 3 == 0;
  std::vector<float> logits(static_cast<std::size_t>(size));
  for (float& logit : logits) {
    logit = normal(random);
    if (steps) logit = std::round(logit * 4) / 4;
  }
  return logits;
}

// Runs `filter` on both, over sizes and random logits. Ambiguous cases are few.
template <class Filter>
void compare_with_reference(Filter filter) {
  std::mt19937 random(5);
  int compared = 0, ambiguous = 0;
  for (const int size : kSizes) {
    Candidates candidates(size);
    for (int round = 0; round < (size > 1000 ? 40 : 100); ++round) {
      const std::vector<float> logits = random_logits(size, random);
      ReferenceSampler reference(logits);
      filter(candidates, reference, logits, random);
      if (reference.ambiguous()) {
        ++ambiguous;
        continue;
      }
      ++compared;
      const std::span<const TokenId> ids = candidates.ids();
      ASSERT_EQ(std::vector<TokenId>(ids.begin(), ids.end()), reference.ids()) << "size " << size;
    }
  }
  EXPECT_GT(compared, 4 * ambiguous);
}

double random_share(std::mt19937& random) {
  return std::uniform_real_distribution<double>(0.0, 1.0)(random);
}

TEST(LogitScan, ArgmaxIsTheFirstMaximumWhereverItLies) {
  std::mt19937 random(1);
  for (const int size : kSizes) {
    for (int round = 0; round < 50; ++round) {
      const std::vector<float> logits = random_logits(size, random);
      const auto expected = std::max_element(logits.begin(), logits.end()) - logits.begin();
      ASSERT_EQ(argmax(logits), static_cast<std::size_t>(expected));
      ASSERT_EQ(max_logit(logits), logits[static_cast<std::size_t>(expected)]);
    }
  }
  std::vector<float> logits(1030, -1e30f);
  for (std::size_t at = 0; at < logits.size(); ++at) {
    logits[at] = -5.0f;
    ASSERT_EQ(argmax(logits), at);
    logits[at] = -1e30f;
  }
}

TEST(LogitScan, NanCountsAsMinusInfinityAtEveryPlace) {
  for (const int size : {1, 4, 7, 16, 37}) {
    for (int at = 0; at < size; ++at) {
      std::vector<float> logits(static_cast<std::size_t>(size), kNan);
      EXPECT_EQ(argmax(logits), std::nullopt);
      EXPECT_EQ(max_logit(logits), -kInfinity);
      logits[static_cast<std::size_t>(at)] = -3.0f;
      EXPECT_EQ(argmax(logits), static_cast<std::size_t>(at));
      EXPECT_EQ(softmax_denominator(logits, -3.0f), 1.0);
    }
  }
  EXPECT_EQ(argmax(std::vector<float>(20, -kInfinity)), std::nullopt);
}

TEST(LogitScan, KthLargestAgreesWithASort) {
  std::mt19937 random(2);
  for (const int size : kSizes) {
    if (size < 2) continue;
    std::vector<float> scratch(static_cast<std::size_t>(size));
    for (int round = 0; round < 20; ++round) {
      std::vector<float> logits = random_logits(size, random);
      const std::size_t k = 1 + random() % (logits.size() - 1);
      std::vector<float> sorted = logits;
      std::ranges::sort(sorted, std::greater<>());
      if (round % 3 == 1) std::ranges::sort(logits);  // every value enters
      const KthLargest kth = kth_largest(logits, k, scratch);
      ASSERT_EQ(kth.value, sorted[k - 1]);
      const auto above = std::ranges::count_if(sorted, [&](float x) { return x > kth.value; });
      ASSERT_EQ(kth.ties, k - static_cast<std::size_t>(above));
    }
  }
}

TEST(LogitScan, ExpIsWithinItsBound) {
  std::vector<float> gaps, weights;
  for (int i = 0; i < 200'003; ++i) gaps.push_back(static_cast<float>(i) * 87.3f / 200'003.0f);
  weights.resize(gaps.size());
  exp_weights(gaps, 1.0f, weights);
  double worst = 0;
  for (std::size_t i = 0; i < gaps.size(); ++i) {
    const double exact = std::exp(-static_cast<double>(gaps[i]));
    worst = std::max(worst, std::fabs(static_cast<double>(weights[i]) - exact) / exact);
  }
  EXPECT_LT(worst, 2e-7);
  EXPECT_EQ(weights[0], 1.0f);

  const std::vector<float> far = {0.0f, 87.5f, 1e30f, kInfinity, std::numeric_limits<float>::max()};
  exp_weights(far, 1.0f, weights);
  EXPECT_THAT(std::vector<float>(weights.begin(), weights.begin() + 5),
              ElementsAre(1.0f, 0.0f, 0.0f, 0.0f, 0.0f));
  exp_weights(far, std::numeric_limits<float>::min(), weights);
  EXPECT_EQ(weights[0], 1.0f);
  EXPECT_EQ(weights[1], 0.0f);
}

TEST(LogitScan, SumsCountEveryElementOnce) {
  for (const int size : kSizes) {
    std::vector<float> values(static_cast<std::size_t>(size));
    double expected = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(i * i % 1009);  // sums are exact
      expected += static_cast<double>(values[i]);
    }
    EXPECT_EQ(sum(values), expected);
    EXPECT_EQ(softmax_denominator(std::vector<float>(values.size(), 3.0f), 3.0f), size);
  }
}

TEST(Candidates, TopKAgreesWithTheReference) {
  compare_with_reference([](Candidates& candidates, ReferenceSampler& reference,
                            std::span<const float> logits, std::mt19937& random) {
    const int k =
        1 + static_cast<int>(random() % (logits.size() + 3));  // beyond the vocabulary too
    candidates.collect_top_k(logits, max_logit(logits), static_cast<std::size_t>(k));
    reference.top_k(k);
  });
}

TEST(Candidates, TopPAgreesWithTheReference) {
  compare_with_reference([](Candidates& candidates, ReferenceSampler& reference,
                            std::span<const float> logits, std::mt19937& random) {
    const double p = random_share(random);
    candidates.collect(logits, max_logit(logits));
    candidates.keep_top_p(p);
    reference.top_p(p);
  });
}

TEST(Candidates, MinPAgreesWithTheReference) {
  compare_with_reference([](Candidates& candidates, ReferenceSampler& reference,
                            std::span<const float> logits, std::mt19937& random) {
    const double p = std::pow(random_share(random), 4);
    candidates.collect(logits, max_logit(logits));
    candidates.keep_min_p(p);
    reference.min_p(p);
  });
}

TEST(Candidates, TypicalAgreesWithTheReference) {
  compare_with_reference([](Candidates& candidates, ReferenceSampler& reference,
                            std::span<const float> logits, std::mt19937& random) {
    const double p = random_share(random);
    candidates.collect(logits, max_logit(logits));
    candidates.keep_typical(p);
    reference.typical(p);
  });
}

// Typical sampling can drop the most probable token; the filters after it count from the
// most probable one that is left.
TEST(Candidates, FiltersAfterTypicalSeeOnlyWhatItKept) {
  compare_with_reference([](Candidates& candidates, ReferenceSampler& reference,
                            std::span<const float> logits, std::mt19937& random) {
    const double typical = random_share(random), top = random_share(random);
    const double least = random_share(random) / 4;
    candidates.collect(logits, max_logit(logits));
    candidates.keep_typical(typical);
    candidates.keep_top_p(top);
    candidates.keep_min_p(least);
    reference.typical(typical);
    reference.top_p(top);
    reference.min_p(least);
  });
}

TEST(Candidates, TypicalDropsTheTopTokenWhereItSurprisesTooLittle) {
  // Entropy of (0.5, 0.125, 0.125, 0.125, 0.125) is 2 bits; surprises are 1 and 3 bits.
  // With (0.4, 0.12 x 5) it is 2.36 bits; surprises are 1.32 and 3.06: the five come first.
  std::vector<float> logits(6, std::log(0.12f));
  logits[2] = std::log(0.4f);
  Candidates candidates(6);
  candidates.collect(logits, max_logit(logits));
  candidates.keep_typical(0.5);
  EXPECT_THAT(candidates.ids(), ElementsAre(0, 1, 3, 4, 5));
}

TEST(Candidates, OfEqualLogitsTheLowestIdsAreKept) {
  const std::vector<float> logits(10, 2.5f);
  Candidates candidates(10);
  candidates.collect_top_k(logits, 2.5f, 3);
  EXPECT_THAT(candidates.ids(), ElementsAre(0, 1, 2));
  candidates.collect(logits, 2.5f);
  candidates.keep_top_p(0.4);
  EXPECT_THAT(candidates.ids(), ElementsAre(0, 1, 2, 3));
  candidates.collect(logits, 2.5f);
  candidates.keep_typical(0.35);
  EXPECT_THAT(candidates.ids(), ElementsAre(0, 1, 2, 3));
  candidates.collect(logits, 2.5f);
  candidates.keep_min_p(1.0);
  EXPECT_EQ(candidates.size(), 10u);
}

TEST(Candidates, OneTokenAlwaysStays) {
  const std::vector<float> logits = {1.0f, 4.0f, 3.0f};
  Candidates candidates(3);
  candidates.collect(logits, 4.0f);
  candidates.keep_top_p(0.0);
  EXPECT_THAT(candidates.ids(), ElementsAre(1));
  candidates.collect(logits, 4.0f);
  candidates.keep_typical(0.0);
  EXPECT_EQ(candidates.size(), 1u);
  candidates.keep_top_p(0.0);
  candidates.keep_min_p(1.0);
  EXPECT_EQ(candidates.size(), 1u);
}

TEST(Candidates, NeverHoldNanOrMinusInfinity) {
  const std::vector<float> logits = {-kInfinity, 1.0f, kNan, 0.5f, -kInfinity};
  Candidates candidates(5);
  candidates.collect(logits, 1.0f);
  EXPECT_THAT(candidates.ids(), ElementsAre(1, 3));
  candidates.collect_top_k(logits, 1.0f, 4);
  EXPECT_THAT(candidates.ids(), ElementsAre(1, 3));
}

// With u at both ends of [0, 1) the draw stays inside, and never on a weight of zero.
TEST(Candidates, DrawsAtTheEndsOfTheInterval) {
  std::vector<float> logits(3000, -500.0f);
  logits[1700] = 1.0f;
  logits[2100] = 1.0f;
  Candidates candidates(3000);
  candidates.collect(logits, 1.0f);
  EXPECT_EQ(candidates.draw(1.0, 0.0), 1700);
  EXPECT_EQ(candidates.draw(1.0, std::nextafter(0.5, 0.0)), 1700);
  EXPECT_EQ(candidates.draw(1.0, 0.5), 2100);
  EXPECT_EQ(candidates.draw(1.0, std::nextafter(1.0, 0.0)), 2100);
}

TEST(Candidates, DrawsExactlyWhereTheCumulativeSumPasses) {
  constexpr int kSize = 2500;  // all equal: token t is drawn for u in [t, t + 1) / size
  const std::vector<float> logits(kSize, -7.0f);
  Candidates candidates(kSize);
  candidates.collect(logits, -7.0f);
  for (int token = 0; token < kSize; ++token) {
    ASSERT_EQ(candidates.draw(3.0, (token + 0.01) / kSize), token);
    ASSERT_EQ(candidates.draw(3.0, (token + 0.99) / kSize), token);
  }
}

}  // namespace
}  // namespace ridgeline
