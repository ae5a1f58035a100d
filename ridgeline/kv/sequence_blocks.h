#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ridgeline/kv/block_table.h"

namespace ridgeline {

/// The block pools of a KV cache, one for each group of layers with the same window.
class KvPools {
 public:
  /// Both by group: the windows (0: everything is kept) and the blocks.
  KvPools(const std::vector<std::int64_t>& windows, const std::vector<int>& blocks);

  int groups() const { return static_cast<int>(groups_.size()); }
  std::int64_t window(int group) const { return groups_[static_cast<std::size_t>(group)].window; }
  BlockPool& pool(int group) { return groups_[static_cast<std::size_t>(group)].pool; }
  const BlockPool& pool(int group) const { return groups_[static_cast<std::size_t>(group)].pool; }
  /// Whether so many sequences alone could ever run to their ends.
  bool could_hold(std::int64_t tokens, std::int64_t step_tokens, int sequences = 1) const;
  /// Nobody has a block.
  bool unused() const;
  /// Forgets what a prefix could be found by.
  void forget();

 private:
  struct Group {
    std::int64_t window;
    BlockPool pool;
  };
  std::vector<Group> groups_;
};

/// The blocks of one sequence: a BlockTable for each group, and its functions for all of them.
class SequenceBlocks {
 public:
  explicit SequenceBlocks(KvPools& pools);

  /// Gives back what rows from `begin` on do not see, and says whether the pools have what
  /// advance(begin, end) takes.
  bool can_advance(std::int64_t begin, std::int64_t end);
  void advance(std::int64_t begin, std::int64_t end, std::vector<BlockCopy>& copies);
  /// Both at once, for a caller that shares no blocks: false, with none taken, if a pool has too
  /// few.
  bool advance(std::int64_t begin, std::int64_t end);
  /// Whether the pools have what a sequence of `tokens`, computed in steps of up to `step_tokens`,
  /// needs beside the blocks it holds, and `spare` more.
  bool could_grow(std::int64_t tokens, std::int64_t step_tokens, int spare) const;
  bool holds(std::int64_t position) const;
  void truncate(std::int64_t tokens);
  void clear() { truncate(0); }
  SequenceBlocks fork() const;

  /// After the positions [begin, end) were computed: makes the blocks that became full known.
  void publish(std::span<const BlockKey> keys, std::int64_t begin, std::int64_t end);
  /// Takes the longest beginning that every group still has; returns its positions.
  std::int64_t adopt(std::span<const BlockKey> keys);

  /// Slots that hold no computed position, when `computed` of them are.
  std::int64_t empty_slots(std::int64_t computed) const;
  /// Valid until the next call that changes them.
  KvBlockTables tables() const;

 private:
  explicit SequenceBlocks(KvPools* pools) : pools_(pools) {}

  KvPools* pools_;
  std::vector<BlockTable> tables_;
};

}  // namespace ridgeline
