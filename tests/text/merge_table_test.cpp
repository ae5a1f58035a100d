#include "ridgeline/text/merge_table.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace ridgeline {
namespace {

// The definition, at quadratic cost: look at all pairs, join the best, start again.
void apply_by_definition(const MergeTable& table, std::vector<Symbol>& symbols) {
  while (true) {
    std::size_t best = 0;
    MergeTable::Merge best_merge;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto merge = table.find(symbols[i].id, symbols[i + 1].id);
      if (merge.rank >= best_merge.rank) continue;
      best_merge = merge;
      best = i;
    }
    if (best_merge.rank == MergeTable::kNoRank) return;
    symbols[best].id = best_merge.result;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

bool operator==(const Symbol& a, const Symbol& b) { return a.id == b.id && a.begin == b.begin; }

// Lengths on both sides of the point where the table goes from scanning to a heap,
// ranks with many ties, symbols that never merge.
TEST(MergeTable, JoinsAsByDefinition) {
  std::mt19937 random(7);
  const auto below = [&random](unsigned n) { return static_cast<unsigned>(random() % n); };
  for (int round = 0; round < 400; ++round) {
    MergeTable table(0);
    const unsigned num_base = 1 + below(5);
    SymbolId next = static_cast<SymbolId>(num_base);
    for (unsigned i = 0, n = below(120); i < n; ++i) {
      const auto left = static_cast<SymbolId>(below(static_cast<unsigned>(next)));
      const auto right = static_cast<SymbolId>(below(static_cast<unsigned>(next)));
      if (table.find(left, right).rank != MergeTable::kNoRank) continue;
      table.insert(left, right, {below(round % 2 == 0 ? 1000 : 6), next++});
    }
    std::vector<Symbol> symbols(below(round % 4 == 0 ? 700 : 90));
    for (std::uint32_t i = 0; i < symbols.size(); ++i) {
      symbols[i] = {below(40) == 0 ? kNoSymbol : static_cast<SymbolId>(below(num_base)), i};
    }
    std::vector<Symbol> expected = symbols;
    apply_by_definition(table, expected);
    table.apply(symbols);
    ASSERT_EQ(symbols.size(), expected.size());
    for (std::size_t i = 0; i < symbols.size(); ++i) ASSERT_TRUE(symbols[i] == expected[i]) << i;
  }
}

TEST(MergeTable, TheFirstOfEqualPairsCounts) {
  MergeTable table(1);
  table.insert(0, 1, {5, 2});
  table.insert(0, 1, {4, 3});
  EXPECT_EQ(table.find(0, 1).rank, 5u);
  EXPECT_EQ(table.find(0, 1).result, 2);
  EXPECT_EQ(table.find(1, 0).rank, MergeTable::kNoRank);
  EXPECT_EQ(table.find(kNoSymbol, kNoSymbol).rank, MergeTable::kNoRank);
}

}  // namespace
}  // namespace ridgeline
