#pragma once

#include <cstdint>
#include <vector>

#include "ridgeline/kv/block_pool.h"

namespace ridgeline {

/// The block pools of a KV cache, one for each group of layers with the same window.
class KvPools {
 public:
  /// Both by group: the windows (0: everything is kept) and the blocks.
  KvPools(const std::vector<std::int64_t>& windows, const std::vector<int>& blocks);

  int groups() const { return static_cast<int>(groups_.size()); }
  std::int64_t window(int group) const { return groups_[static_cast<std::size_t>(group)].window; }
  BlockPool& pool(int group) { return groups_[static_cast<std::size_t>(group)].pool; }
  /// Whether a sequence alone could ever be admitted.
  bool could_hold(std::int64_t tokens, std::int64_t step_tokens) const;
  /// Nobody has a block.
  bool unused() const;

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

  /// False, with nothing taken, when a pool has too few.
  bool reserve(std::int64_t tokens, std::int64_t step_tokens);
  void advance(std::int64_t begin, std::int64_t end);
  bool holds(std::int64_t position) const;
  void truncate(std::int64_t tokens);
  void clear() { truncate(0); }

  /// Valid until the next call that changes them.
  KvBlockTables tables() const;

 private:
  KvPools* pools_;
  std::vector<BlockTable> tables_;
};

}  // namespace ridgeline
