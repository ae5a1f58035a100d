#include "ridgeline/kv/block_pool.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace ridgeline
