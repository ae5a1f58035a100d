#include "ridgeline/tools/ptq/bit_allocation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace ridgeline::ptq {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Items = std::vector<std::vector<AllocationChoice>>;

std::uint64_t least_bytes(const Items& items) {
  std::uint64_t bytes = 0;
  for (const auto& choices : items)
    bytes += std::ranges::min(choices, {}, &AllocationChoice::bytes).bytes;
  return bytes;
}

/// By trying everything.
double least_loss(const Items& items, std::uint64_t budget, std::size_t item = 0) {
  if (item == items.size()) return 0;
  double least = std::numeric_limits<double>::infinity();
  for (const AllocationChoice& c : items[item])
    if (c.bytes <= budget)
      least = std::min(least, c.loss + least_loss(items, budget - c.bytes, item + 1));
  return least;
}

void expect_consistent(const Items& items, std::uint64_t budget, const Allocation& a) {
  ASSERT_EQ(a.chosen.size(), items.size());
  std::uint64_t bytes = 0;
  double loss = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    ASSERT_LT(a.chosen[i], items[i].size());
    bytes += items[i][a.chosen[i]].bytes;
    loss += items[i][a.chosen[i]].loss;
  }
  EXPECT_EQ(a.bytes, bytes);
  EXPECT_DOUBLE_EQ(a.loss, loss);
  EXPECT_LE(bytes, budget);
}

TEST(BitAllocation, SpendsWhereItSavesMost) {
  // The second tensor gains more from the same bytes.
  const Items items = {{{10, 5.0}, {20, 4.0}}, {{10, 5.0}, {20, 1.0}}, {{7, 0.5}}};
  const auto a = allocate_bits(items, 40);
  ASSERT_TRUE(a) << a.error().message;
  EXPECT_THAT(a->chosen, ElementsAre(0, 1, 0));
  EXPECT_TRUE(a->is_optimal);
  EXPECT_THAT(allocate_bits(items, 47)->chosen, ElementsAre(1, 1, 0));
  EXPECT_THAT(allocate_bits(items, 27)->chosen, ElementsAre(0, 0, 0));
}

// The hull's steps are of the first item alone; the other two are better.
TEST(BitAllocation, LooksBeyondTheBestRate) {
  const Items items = {{{0, 10}, {6, 0}}, {{0, 8}, {5, 0}}, {{0, 8}, {5, 0}}};
  const auto a = allocate_bits(items, 10);
  ASSERT_TRUE(a) << a.error().message;
  EXPECT_THAT(a->chosen, ElementsAre(0, 1, 1));
}

TEST(BitAllocation, MoreBytesThatLoseMoreAreNotTaken) {
  const Items items = {{{30, 3.0}, {10, 2.0}, {20, 2.0}, {10, 2.5}}};
  EXPECT_THAT(allocate_bits(items, 1000)->chosen, ElementsAre(1));
}

TEST(BitAllocation, FindsTheOptimumOfSmallCases) {
  std::mt19937 random(5);
  std::uniform_real_distribution<double> loss(0, 1);
  int not_greedy = 0;
  for (int round = 0; round < 400; ++round) {
    Items items(1 + random() % 6);
    for (auto& choices : items) {
      choices.resize(1 + random() % 5);
      // Every fourth case has many equal sizes and losses.
      for (AllocationChoice& c : choices)
        c = round % 4 == 0 ? AllocationChoice{random() % 4, static_cast<double>(random() % 4)}
                           : AllocationChoice{random() % 50, loss(random)};
    }
    const std::uint64_t least = least_bytes(items), budget = least + random() % 80;
    const auto a = allocate_bits(items, budget);
    ASSERT_TRUE(a) << a.error().message;
    expect_consistent(items, budget, *a);
    EXPECT_TRUE(a->is_optimal);
    EXPECT_NEAR(a->loss, least_loss(items, budget), 1e-12) << round;
    if (least > 0) {
      EXPECT_FALSE(allocate_bits(items, least - 1));
    }
    not_greedy += a->bytes < budget;
  }
  EXPECT_GT(not_greedy, 0);
}

// Of a model's size: losses that fall by 4 for each bit, as rounding's do.
TEST(BitAllocation, AModelIsNearTheBound) {
  std::mt19937 random(6);
  std::lognormal_distribution<double> weight(0, 1.5);
  const double bits[] = {2.625, 3.4375, 4.25, 4.5, 5.5, 6.5625, 8.5, 16};
  Items items(500);
  double smallest = 0, largest = 0;
  for (auto& choices : items) {
    const double elements = 256.0 * static_cast<double>(1 + random() % 60'000),
                 scale = weight(random);
    for (const double b : bits)
      choices.push_back({static_cast<std::uint64_t>(elements * b / 8),
                         scale * std::exp2(-2 * b) * (0.8 + 0.4 * weight(random) / (1 + scale))});
    smallest += static_cast<double>(choices.front().bytes);
    largest += static_cast<double>(choices.back().bytes);
  }
  double before = std::numeric_limits<double>::infinity();
  for (const double share : {0.0, 0.1, 0.3, 0.6, 1.0}) {
    const auto budget = static_cast<std::uint64_t>(smallest + share * (largest - smallest));
    const auto a = allocate_bits(items, budget);
    ASSERT_TRUE(a) << a.error().message;
    expect_consistent(items, budget, *a);
    EXPECT_LE(a->loss, before);
    if (share > 0 && share < 0.5) {
      EXPECT_GT(static_cast<double>(a->bytes), 0.9999 * static_cast<double>(budget));
    }
    before = a->loss;
  }
}

TEST(BitAllocation, ErrorsAreSentences) {
  const Items items = {{{10, 1}, {20, 0}}, {{30, 0}}};
  EXPECT_THAT(
      allocate_bits(items, 39).error().message,
      HasSubstr("39 bytes are too few for these tensors: in their smallest types they take 40"));
  const Items bad = {{{10, 1}}, {{10, std::nan("")}}}, negative = {{{10, -1}}};
  EXPECT_THAT(allocate_bits(bad, 100).error().message, HasSubstr("loss of tensor 2 is nan"));
  EXPECT_THAT(allocate_bits(negative, 100).error().message, HasSubstr("tensor 1 is -1"));
  EXPECT_TRUE(allocate_bits(Items{}, 0)->chosen.empty());
}

}  // namespace
}  // namespace ridgeline::ptq
