#include "ridgeline/kv/sequence_blocks.h"

#include <algorithm>

#include "ridgeline/base/check.h"

namespace ridgeline {

KvPools::KvPools(const std::vector<std::int64_t>& windows, const std::vector<int>& blocks) {
  RIDGELINE_CHECK(windows.size() == blocks.size() && windows.size() <= kMaxKvGroups);
  for (std::size_t i = 0; i < windows.size(); ++i)
    groups_.push_back({windows[i], BlockPool(blocks[i])});
}

bool KvPools::could_hold(std::int64_t tokens, std::int64_t step_tokens) const {
  return std::ranges::all_of(groups_, [&](const Group& g) {
    return BlockTable::most_blocks(g.window, tokens, step_tokens) <= g.pool.capacity();
  });
}

bool KvPools::unused() const {
  return std::ranges::all_of(
      groups_, [](const Group& g) { return g.pool.available() == g.pool.capacity(); });
}

SequenceBlocks::SequenceBlocks(KvPools& pools) : pools_(&pools) {
  for (int i = 0; i < pools.groups(); ++i) tables_.emplace_back(pools.pool(i), pools.window(i));
}

bool SequenceBlocks::reserve(std::int64_t tokens, std::int64_t step_tokens) {
  for (std::size_t i = 0; i < tables_.size(); ++i)
    if (tables_[i].blocks_missing(tokens, step_tokens) >
        pools_->pool(static_cast<int>(i)).available())
      return false;
  for (BlockTable& table : tables_) RIDGELINE_CHECK(table.reserve(tokens, step_tokens));
  return true;
}

void SequenceBlocks::advance(std::int64_t begin, std::int64_t end) {
  for (BlockTable& table : tables_) table.advance(begin, end);
}

bool SequenceBlocks::holds(std::int64_t position) const {
  return std::ranges::all_of(tables_, [&](const BlockTable& t) { return t.holds(position); });
}

void SequenceBlocks::truncate(std::int64_t tokens) {
  for (BlockTable& table : tables_) table.truncate(tokens);
}

KvBlockTables SequenceBlocks::tables() const {
  KvBlockTables all;
  for (std::size_t i = 0; i < tables_.size(); ++i) all[static_cast<int>(i)] = tables_[i].blocks();
  return all;
}

}  // namespace ridgeline
