#include "ridgeline/kv/sequence_blocks.h"

#include <algorithm>

#include "ridgeline/base/check.h"

namespace ridgeline {

KvPools::KvPools(const std::vector<std::int64_t>& windows, const std::vector<int>& blocks) {
  RIDGELINE_CHECK(windows.size() == blocks.size() && windows.size() <= kMaxKvGroups);
  for (std::size_t i = 0; i < windows.size(); ++i)
    groups_.push_back({windows[i], BlockPool(blocks[i])});
}

bool KvPools::could_hold(std::int64_t tokens, std::int64_t step_tokens, int sequences) const {
  return std::ranges::all_of(groups_, [&](const Group& g) {
    return std::int64_t{sequences} * BlockTable::most_blocks(g.window, tokens, step_tokens) <=
           g.pool.capacity();
  });
}

bool KvPools::unused() const {
  return std::ranges::all_of(
      groups_, [](const Group& g) { return g.pool.available() == g.pool.capacity(); });
}

void KvPools::forget() {
  for (Group& g : groups_) g.pool.forget();
}

SequenceBlocks::SequenceBlocks(KvPools& pools) : pools_(&pools) {
  for (int i = 0; i < pools.groups(); ++i) tables_.emplace_back(pools.pool(i), pools.window(i), i);
}

bool SequenceBlocks::can_advance(std::int64_t begin, std::int64_t end) {
  for (BlockTable& table : tables_) table.retreat(begin);
  for (std::size_t i = 0; i < tables_.size(); ++i)
    if (tables_[i].blocks_missing(begin, end) > pools_->pool(static_cast<int>(i)).available())
      return false;
  return true;
}

void SequenceBlocks::advance(std::int64_t begin, std::int64_t end, std::vector<BlockCopy>& copies) {
  for (BlockTable& table : tables_) table.advance(begin, end, copies);
}

bool SequenceBlocks::advance(std::int64_t begin, std::int64_t end) {
  if (!can_advance(begin, end)) return false;
  std::vector<BlockCopy> copies;
  advance(begin, end, copies);
  RIDGELINE_CHECK(copies.empty());
  return true;
}

bool SequenceBlocks::could_grow(std::int64_t tokens, std::int64_t step_tokens, int spare) const {
  for (std::size_t i = 0; i < tables_.size(); ++i) {
    const BlockTable& t = tables_[i];
    const auto held = std::ranges::count_if(t.blocks(), [](BlockId id) { return id != kNoBlock; });
    if (BlockTable::most_blocks(t.window(), tokens, step_tokens) - held + spare >
        pools_->pool(static_cast<int>(i)).available())
      return false;
  }
  return true;
}

bool SequenceBlocks::holds(std::int64_t position) const {
  return std::ranges::all_of(tables_, [&](const BlockTable& t) { return t.holds(position); });
}

void SequenceBlocks::truncate(std::int64_t tokens) {
  for (BlockTable& table : tables_) table.truncate(tokens);
}

SequenceBlocks SequenceBlocks::fork() const {
  SequenceBlocks other(pools_);
  for (const BlockTable& table : tables_) other.tables_.push_back(table.fork());
  return other;
}

void SequenceBlocks::publish(std::span<const BlockKey> keys, std::int64_t begin, std::int64_t end) {
  for (BlockTable& table : tables_)
    table.publish(keys, static_cast<std::size_t>(begin / kKvBlockTokens),
                  static_cast<std::size_t>(end / kKvBlockTokens));
}

std::int64_t SequenceBlocks::adopt(std::span<const BlockKey> keys) {
  std::vector<bool> all(keys.size() + 1, true);
  for (const BlockTable& table : tables_) {
    const std::vector<bool> can = table.reusable(keys);
    for (std::size_t n = 0; n < all.size(); ++n) all[n] = all[n] && can[n];
  }
  std::size_t most = keys.size();
  while (!all[most]) --most;
  for (BlockTable& table : tables_) table.adopt(keys.first(most));
  return static_cast<std::int64_t>(most) * kKvBlockTokens;
}

std::int64_t SequenceBlocks::empty_slots(std::int64_t computed) const {
  std::int64_t empty = 0;
  for (const BlockTable& table : tables_)
    empty += static_cast<std::int64_t>(table.blocks().size()) * kKvBlockTokens - computed;
  return empty;
}

KvBlockTables SequenceBlocks::tables() const {
  KvBlockTables all;
  for (std::size_t i = 0; i < tables_.size(); ++i) all[static_cast<int>(i)] = tables_[i].blocks();
  return all;
}

}  // namespace ridgeline
