#include "ridgeline/kv/block_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <map>
#include <random>
#include <set>

namespace ridgeline {
namespace {

BlockKey key_of(int n) {
  BlockKeys keys(std::to_string(n));
  keys.extend(std::vector<std::int32_t>(16, n));
  return keys.keys()[0];
}

TEST(BlockPool, HandsOutEveryBlockOnce) {
  BlockPool pool(100);
  std::set<BlockId> seen;
  while (pool.available() > 0) EXPECT_TRUE(seen.insert(pool.allocate()).second);
  EXPECT_EQ(seen.size(), 100u);
  EXPECT_EQ(*seen.begin(), 0);
  EXPECT_EQ(*seen.rbegin(), 99);
}

TEST(BlockPoolDeathTest, CatchesABlockFreedTwice) {
  BlockPool pool(4);
  const BlockId block = pool.allocate();
  pool.release(block);
  EXPECT_DEATH(pool.release(block), "internal error");
  EXPECT_DEATH(pool.share(block), "internal error");
  EXPECT_DEATH(pool.release(4), "internal error");
}

TEST(BlockPool, WhatWasUsedLongestAgoIsForgottenFirst) {
  BlockPool pool(3);
  std::vector<BlockId> blocks;
  for (int i = 0; i < 3; ++i) {
    blocks.push_back(pool.allocate());
    pool.publish(blocks.back(), key_of(i));
  }
  for (const int i : {1, 0, 2}) pool.release(blocks[static_cast<std::size_t>(i)]);
  EXPECT_EQ(pool.cached(), 3);
  pool.share(blocks[1]);  // used again
  pool.release(blocks[1]);
  EXPECT_EQ(pool.allocate(), blocks[0]);
  EXPECT_EQ(pool.find(key_of(0)), std::nullopt);
  EXPECT_EQ(pool.allocate(), blocks[2]);
  EXPECT_EQ(pool.find(key_of(1)), blocks[1]);
  pool.forget();
  EXPECT_EQ(pool.find(key_of(1)), std::nullopt);
  EXPECT_EQ(pool.cached(), 0);
  EXPECT_EQ(pool.available(), 1);
}

// A million steps against the plainest model there is: counts per block, a map of keys, and a
// list of the free ones.
TEST(BlockPool, BehavesLikeAListAndAMap) {
  constexpr int kBlocks = 24, kKeys = 40;
  std::vector<BlockKey> keys;
  for (int i = 0; i < kKeys; ++i) keys.push_back(key_of(i));
  std::mt19937 random(7);
  BlockPool pool(kBlocks);
  std::vector<int> users(kBlocks, 0);
  std::map<BlockId, int> key_by_block;
  std::list<BlockId> order;  // free ones: empty at the front, cached ones by age behind
  for (BlockId id = 0; id < kBlocks; ++id) order.push_back(id);
  const auto find = [&](int key) -> std::optional<BlockId> {
    for (const auto& [block, k] : key_by_block)
      if (k == key) return block;
    return std::nullopt;
  };
  for (int step = 0; step < 1'000'000; ++step) {
    const auto block = static_cast<BlockId>(random() % kBlocks);
    int& count = users[static_cast<std::size_t>(block)];
    const int key = static_cast<int>(random() % kKeys);
    switch (random() % 5) {
      case 0:
        if (pool.available() > 0) {
          const BlockId taken = pool.allocate();
          ASSERT_EQ(taken, order.front());
          order.pop_front();
          key_by_block.erase(taken);
          users[static_cast<std::size_t>(taken)] = 1;
        }
        break;
      case 1:
        if (count > 0 || key_by_block.contains(block)) {
          pool.share(block);
          if (count++ == 0) order.remove(block);
        }
        break;
      case 2:
        if (count > 0) {
          pool.publish(block, keys[static_cast<std::size_t>(key)]);
          if (!key_by_block.contains(block) && !find(key)) key_by_block[block] = key;
        }
        break;
      default:
        if (count > 0) {
          pool.release(block);
          if (--count == 0) {
            if (key_by_block.contains(block))
              order.push_back(block);
            else
              order.push_front(block);
          }
        }
    }
    ASSERT_EQ(pool.find(keys[static_cast<std::size_t>(key)]), find(key));
    ASSERT_EQ(pool.available(), static_cast<int>(order.size()));
    ASSERT_EQ(pool.references(block), count);
    if (step % 64 == 0) {
      ASSERT_EQ(pool.cached(), std::ranges::count_if(
                                   order, [&](BlockId id) { return key_by_block.contains(id); }));
    }
  }
}

TEST(BlockKeys, NameATextFromItsBeginning) {
  std::vector<std::int32_t> tokens(64);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>(i);
  BlockKeys at_once, in_parts, salted("a key of its own");
  at_once.extend(tokens);
  for (std::size_t n = 0; n <= tokens.size(); ++n) in_parts.extend(std::span(tokens).first(n));
  salted.extend(tokens);
  ASSERT_EQ(at_once.keys().size(), 4u);
  std::set<std::array<std::uint8_t, 32>> different;
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(at_once.keys()[i], in_parts.keys()[i]);
    different.insert(at_once.keys()[i].digest);
    different.insert(salted.keys()[i].digest);
  }
  EXPECT_EQ(different.size(), 8u);
  // The same second block behind another first one is something else.
  tokens[3] = 99;
  BlockKeys other;
  other.extend(tokens);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NE(other.keys()[i], at_once.keys()[i]);
}

}  // namespace
}  // namespace ridgeline
