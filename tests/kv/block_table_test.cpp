#include "ridgeline/kv/block_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "ridgeline/kv/sequence_blocks.h"

namespace ridgeline {
namespace {

TEST(BlockTable, TakesAllOrNothing) {
  BlockPool pool(4);
  BlockTable table(pool);
  EXPECT_TRUE(table.reserve(1));
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

// What a real cache would hold: each slot of each block remembers the text before it. Sequences
// with windows and without grow, fork, end, go back, and begin with what others left; whatever a
// row sees must be its own text, and nobody writes where another one reads.
TEST(SequenceBlocks, EveryRowSeesItsOwnText) {
  using Text = std::vector<std::int32_t>;
  const std::vector<std::int64_t> windows = {0, 50};
  KvPools pools(windows, {40, 16});
  // [group][block][slot]: the text up to and with that position.
  std::vector<std::map<BlockId, std::array<Text, 16>>> cache(2);
  struct Sequence {
    explicit Sequence(KvPools& p) : blocks(p) {}
    SequenceBlocks blocks;
    BlockKeys keys;
    Text text;
    std::int64_t computed = 0;
  };
  std::mt19937 random(23);
  const auto upto = [&](unsigned n) { return static_cast<std::int64_t>(random() % n); };
  std::vector<Sequence> sequences;
  std::int64_t hits = 0, copied = 0, full = 0;
  for (int step = 0; step < 60'000; ++step) {
    const auto action = random() % 10;
    if (sequences.empty() || (action == 0 && sequences.size() < 6)) {
      Sequence s(pools);
      // Texts of few words, so that many begin alike.
      const std::int64_t length = 1 + upto(180), common = 32 * upto(5);
      for (std::int64_t i = 0; i < length; ++i)
        s.text.push_back(static_cast<std::int32_t>(i < common ? i : upto(2)));
      s.keys.extend(s.text);
      s.computed = s.blocks.adopt(s.keys.keys().first(static_cast<std::size_t>((length - 1) / 16)));
      hits += s.computed;
      ASSERT_TRUE(s.blocks.holds(s.computed));
      sequences.push_back(std::move(s));
      continue;
    }
    const std::size_t index = random() % sequences.size();
    Sequence& s = sequences[index];
    if (action == 1) {
      std::swap(s, sequences.back());
      sequences.pop_back();
    } else if (action == 2 && sequences.size() < 6) {
      Sequence other(pools);
      other.blocks = s.blocks.fork();
      other.keys = s.keys;
      other.text = s.text;
      other.computed = s.computed;
      sequences.push_back(std::move(other));
    } else {
      if (s.computed == static_cast<std::int64_t>(s.text.size())) {
        for (std::int64_t i = upto(20); i >= 0; --i)
          s.text.push_back(static_cast<std::int32_t>(random() % 1000));
        if (s.text.size() > 400) {
          std::swap(s, sequences.back());
          sequences.pop_back();
          continue;
        }
      }
      const std::int64_t begin = s.computed;
      const std::int64_t end =
          std::min(begin + 1 + upto(33), static_cast<std::int64_t>(s.text.size()));
      if (!s.blocks.can_advance(begin, end)) {
        ++full;
        std::swap(s, sequences.back());
        sequences.pop_back();
        continue;
      }
      std::vector<BlockCopy> copies;
      s.blocks.advance(begin, end, copies);
      for (const BlockCopy& c : copies) {
        auto& blocks = cache[static_cast<std::size_t>(c.group)];
        blocks[c.to] = blocks[c.from];
        ++copied;
      }
      for (int group = 0; group < 2; ++group) {
        const auto table = s.blocks.tables()[group];
        auto& blocks = cache[static_cast<std::size_t>(group)];
        for (std::int64_t p = begin; p < end; ++p) {
          const BlockId id = table[static_cast<std::size_t>(p / 16)];
          ASSERT_NE(id, kNoBlock);
          ASSERT_EQ(pools.pool(group).references(id), 1);
          blocks[id][static_cast<std::size_t>(p % 16)] =
              Text(s.text.begin(), s.text.begin() + p + 1);
        }
        const std::int64_t window = windows[static_cast<std::size_t>(group)];
        for (std::int64_t p = window > 0 ? std::max<std::int64_t>(0, begin - window + 1) : 0;
             p < end; ++p) {
          const BlockId id = table[static_cast<std::size_t>(p / 16)];
          ASSERT_NE(id, kNoBlock);
          const Text& seen = blocks[id][static_cast<std::size_t>(p % 16)];
          ASSERT_TRUE(
              std::ranges::equal(seen, std::span(s.text).first(static_cast<std::size_t>(p + 1))));
        }
      }
      s.computed = end;
      s.keys.extend(std::span(s.text).first(static_cast<std::size_t>(end)));
      s.blocks.publish(s.keys.keys(), begin, end);
    }
  }
  EXPECT_GT(hits, 20'000);
  EXPECT_GT(copied, 500);
  EXPECT_GT(full, 100);
  sequences.clear();
  EXPECT_TRUE(pools.unused());
}

}  // namespace
}  // namespace ridgeline
