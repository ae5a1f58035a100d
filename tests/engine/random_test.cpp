#include "ridgeline/engine/random.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <set>

namespace ridgeline {
namespace {

// philox4x32-10 of Random123's known-answer file (tests/kat_vectors).
TEST(Philox, KnownAnswers) {
  constexpr std::uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// The layout of key and counter is part of what a seed means: it may not change.
TEST(Philox, UniformIsTheFirstTwoWordsOfItsCounter) {
  const double expected = static_cast<double>(0x6627e8d5e169c58dull >> 11) / 0x1p53;
  EXPECT_EQ(random_uniform(0, 0, 0, RandomUse::kToken), expected);

  const PhiloxCounter bits = philox4x32({0x22222222, 0x11111111, 7, 0}, {0xbbbbbbbb, 0xaaaaaaaa});
  const std::uint64_t word = std::uint64_t{bits[0]} << 32 | bits[1];
  EXPECT_EQ(random_uniform(0xaaaaaaaabbbbbbbb, 0x1111111122222222, 7, RandomUse::kToken),
            static_cast<double>(word >> 11) / 0x1p53);
}

TEST(Philox, EveryPartOfTheCounterAndTheKeyMatters) {
  std::set<double> seen;
  seen.insert(random_uniform(0, 0, 0, RandomUse::kToken));
  for (int bit = 0; bit < 64; ++bit) {
    seen.insert(random_uniform(std::uint64_t{1} << bit, 0, 0, RandomUse::kToken));
    seen.insert(random_uniform(0, std::uint64_t{1} << bit, 0, RandomUse::kToken));
    if (bit < 32) seen.insert(random_uniform(0, 0, std::uint32_t{1} << bit, RandomUse::kToken));
  }
  EXPECT_EQ(seen.size(), 1u + 64 + 64 + 32);
}

// Uses have numbers of their own in the counter, which may not change either.
TEST(Philox, UsesOfOnePositionDiffer) {
  const PhiloxCounter bits = philox4x32({5, 0, 7, 1}, {3, 0});
  const std::uint64_t word = std::uint64_t{bits[0]} << 32 | bits[1];
  EXPECT_EQ(random_uniform(3, 5, 7, RandomUse::kDraft), static_cast<double>(word >> 11) / 0x1p53);
  EXPECT_NE(random_uniform(3, 5, 7, RandomUse::kDraft), random_uniform(3, 5, 7, RandomUse::kToken));
}

TEST(Philox, UniformFillsTheUnitIntervalEvenly) {
  constexpr int kBins = 64, kDraws = 64000;
  std::array<int, kBins> counts{};
  for (std::uint64_t position = 0; position < kDraws; ++position) {
    const double u = random_uniform(42, position, 0, RandomUse::kToken);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    ++counts[static_cast<std::size_t>(u * kBins)];
  }
  double chi_squared = 0;
  for (const int count : counts) {
    const double excess = count - double{kDraws} / kBins;
    chi_squared += excess * excess * kBins / kDraws;
  }
  EXPECT_LT(chi_squared, 125.0);  // 63 degrees of freedom: 125 is exceeded once in 200 000
}

}  // namespace
}  // namespace ridgeline
