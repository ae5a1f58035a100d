#include "ridgeline/kv/block_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace ridgeline {
namespace {

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
  pool.free(block);
  EXPECT_DEATH(pool.free(block), "internal error");
  EXPECT_DEATH(pool.free(4), "internal error");
}

TEST(BlockTable, TakesAllOrNothing) {
  BlockPool pool(4);
  BlockTable table(pool);
  EXPECT_TRUE(table.reserve(1));
  EXPECT_EQ(table.blocks().size(), 1u);
  EXPECT_TRUE(table.reserve(16));  // the same block
  EXPECT_EQ(table.blocks().size(), 1u);
  EXPECT_FALSE(table.reserve(65));  // five blocks
  EXPECT_EQ(table.blocks().size(), 1u);
  EXPECT_EQ(pool.available(), 3);
  EXPECT_TRUE(table.reserve(64));
  EXPECT_EQ(pool.available(), 0);
  table.clear();
  EXPECT_EQ(pool.available(), 4);
}

// Against the plainest model there is: a set of ids per table.
TEST(BlockPool, RandomTablesNeverShareABlock) {
  std::mt19937 random(7);
  BlockPool pool(64);
  std::vector<BlockTable> tables;
  tables.reserve(16);
  for (int i = 0; i < 16; ++i) tables.emplace_back(pool);
  for (int step = 0; step < 20000; ++step) {
    BlockTable& table = tables[random() % tables.size()];
    if (random() % 4 == 0) {
      table.clear();
    } else {
      const std::int64_t tokens = random() % 200;
      const bool fits =
          blocks_for(tokens) - static_cast<int>(table.blocks().size()) <= pool.available();
      EXPECT_EQ(table.reserve(tokens), fits);
    }
    std::set<BlockId> used;
    std::size_t count = 0;
    for (const BlockTable& t : tables) {
      used.insert(t.blocks().begin(), t.blocks().end());
      count += t.blocks().size();
    }
    ASSERT_EQ(used.size(), count);
    ASSERT_EQ(static_cast<int>(count) + pool.available(), pool.capacity());
  }
}

TEST(BlockPool, WhatIsSetAsideIsNotAvailable) {
  BlockPool pool(4);
  pool.set_aside(3);
  EXPECT_EQ(pool.available(), 1);
  pool.free(pool.allocate_set_aside());
  EXPECT_EQ(pool.available(), 2);
  pool.set_aside(-2);
  EXPECT_EQ(pool.available(), 4);
}

TEST(BlockTable, MostBlocksIsWhatAnyStepNeeds) {
  EXPECT_EQ(BlockTable::most_blocks(0, 1000, 8), 63);
  EXPECT_EQ(BlockTable::most_blocks(2000, 1000, 8), 63);
  EXPECT_EQ(BlockTable::most_blocks(100, 20, 512), 2);
  for (const std::int64_t window : {1, 2, 15, 16, 17, 100}) {
    for (const std::int64_t step : {1, 2, 15, 16, 17, 40}) {
      int most = 0;
      for (std::int64_t begin = window; begin < window + 64; ++begin)
        most = std::max(most, blocks_for(begin + step) -
                                  static_cast<int>((begin - window + 1) / kKvBlockTokens));
      EXPECT_EQ(BlockTable::most_blocks(window, 4096, step), most) << window << " " << step;
    }
  }
}

// Tables with windows against sets of positions: everything that a row sees has a block, no
// block belongs to two tables, and what one gives back another gets.
TEST(BlockTable, RandomSequencesHoldTheirWindows) {
  std::mt19937 random(23);
  BlockPool pool(40);
  const std::int64_t window = 50, most_step = 33;
  struct Sequence {
    BlockTable table;
    std::int64_t at = 0, length = 0;
  };
  std::vector<Sequence> sequences;
  for (int i = 0; i < 9; ++i) sequences.push_back({BlockTable(pool, window)});
  std::vector<std::set<std::size_t>> owners(40);
  for (int step = 0; step < 20000; ++step) {
    const std::size_t index = random() % sequences.size();
    Sequence& s = sequences[index];
    if (s.length == 0) {
      const std::int64_t length = 1 + static_cast<std::int64_t>(random() % 400);
      const int missing = s.table.blocks_missing(length, most_step);
      const int before = pool.available();
      ASSERT_EQ(s.table.reserve(length, most_step), missing <= before);
      if (missing > before) {
        ASSERT_EQ(pool.available(), before);
        s.table.clear();
        continue;
      }
      s.length = length;
    } else if (random() % 40 == 0) {
      s.table.clear();
      s.at = s.length = 0;
    } else if (random() % 20 == 0) {  // back a little, and on with another length
      s.at = s.at - std::min<std::int64_t>(s.at, static_cast<std::int64_t>(random() % 30));
      s.table.truncate(s.at);
      const bool held = s.table.holds(s.at);
      bool expected = true;
      for (std::int64_t p = std::max<std::int64_t>(0, s.at - window + 1); p < s.at; ++p)
        expected =
            expected && s.table.blocks()[static_cast<std::size_t>(p / kKvBlockTokens)] != kNoBlock;
      ASSERT_EQ(held, expected);
      if (!held || !s.table.reserve(s.length, most_step)) {
        s.table.clear();
        s.at = s.length = 0;
      }
    } else {
      const std::int64_t end = std::min(
          s.length,
          s.at + 1 + static_cast<std::int64_t>(random() % static_cast<unsigned>(most_step)));
      if (end == s.at) continue;
      s.table.advance(s.at, end);
      for (std::int64_t p = std::max<std::int64_t>(0, s.at - window + 1); p < end; ++p) {
        const BlockId id = s.table.blocks()[static_cast<std::size_t>(p / kKvBlockTokens)];
        ASSERT_NE(id, kNoBlock);
        owners[static_cast<std::size_t>(id)].insert(index);
      }
      for (std::int64_t p = 0; p + kKvBlockTokens <= s.at - window + 1; p += kKvBlockTokens)
        ASSERT_EQ(s.table.blocks()[static_cast<std::size_t>(p / kKvBlockTokens)], kNoBlock);
      s.at = end;
    }
    std::set<BlockId> used;
    std::size_t count = 0;
    for (const Sequence& other : sequences)
      for (const BlockId id : other.table.blocks())
        if (id != kNoBlock) {
          used.insert(id);
          ++count;
        }
    ASSERT_EQ(used.size(), count);
    ASSERT_LE(static_cast<int>(count) + pool.available(), pool.capacity());
  }
  // What is set aside keeps the last few blocks from ever being taken.
  EXPECT_GT(std::ranges::count_if(owners, [](const auto& o) { return o.size() > 1; }), 30);
  for (Sequence& s : sequences) s.table.clear();
  EXPECT_EQ(pool.available(), pool.capacity());
}

}  // namespace
}  // namespace ridgeline
