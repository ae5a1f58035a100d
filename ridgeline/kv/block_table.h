#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ridgeline/kv/block_pool.h"

namespace ridgeline {

/// One block's content is to be copied before anything is written to `to`.
struct BlockCopy {
  int group = 0;
  BlockId from = 0, to = 0;
};

/// The blocks of one sequence in one group of layers, in the order of its positions: entry i
/// is the block of positions [16 i, 16 i + 16). Gives them back when it goes.
///
/// With a window, those that no row to come sees go back as the sequence advances, and their
/// entries become kNoBlock:
///
///     window 20, next row at position 52, which sees [33, 52]:   | - | - | 7 | 2 |
///
/// Blocks may be shared with other tables. Full ones are only read; the last one, if it has room,
/// is copied before this table's sequence writes to it (copy on write).
class BlockTable {
 public:
  /// `window`: positions that a row sees at most, itself included; 0: all. `group` goes into the
  /// copies.
  explicit BlockTable(BlockPool& pool, std::int64_t window = 0, int group = 0)
      : pool_(&pool), window_(window), group_(group) {}
  ~BlockTable() { clear(); }
  BlockTable(BlockTable&& other) noexcept;
  BlockTable& operator=(BlockTable&& other) noexcept;

  /// Blocks that a sequence of `tokens` holds at most at a time, if it is computed in steps of
  /// up to `step_tokens`.
  static int most_blocks(std::int64_t window, std::int64_t tokens, std::int64_t step_tokens);

  /// Gives back what rows from `position` on do not see.
  void retreat(std::int64_t position);
  /// Blocks that advance(begin, end) takes from the pool, after retreat(begin).
  int blocks_missing(std::int64_t begin, std::int64_t end) const;
  /// Before a step that computes the positions [begin, end): afterwards there is a block for
  /// everything that its rows see, and nobody else has those that it writes to. The pool must
  /// have the blocks. Appends what has to be copied first.
  void advance(std::int64_t begin, std::int64_t end, std::vector<BlockCopy>& copies);
  /// The same for a caller that keeps a whole pool to itself. False, with nothing taken: the
  /// pool has too few.
  bool reserve(std::int64_t tokens);
  /// Whether everything that a row at `position` sees before itself is still there.
  bool holds(std::int64_t position) const;
  /// Gives back the blocks behind the first `tokens` positions.
  void truncate(std::int64_t tokens);
  void clear() { truncate(0); }

  /// Another table of the same blocks.
  BlockTable fork() const;

  /// Makes the blocks of full positions [begin, end) known under their keys, all of which the
  /// sequence's are.
  void publish(std::span<const BlockKey> keys, std::size_t begin, std::size_t end);
  /// For each number of blocks n from 0 to keys.size(): whether the pool still has all that a
  /// sequence of n computed blocks needs to go on.
  std::vector<bool> reusable(std::span<const BlockKey> keys) const;
  /// Takes those of keys.size() blocks, which must be reusable, into a table that has none.
  void adopt(std::span<const BlockKey> keys);

  const std::vector<BlockId>& blocks() const { return blocks_; }
  std::int64_t window() const { return window_; }

 private:
  /// Index of the first block that a row at `position` sees.
  std::size_t first_seen(std::int64_t position) const;
  bool copies_first(std::int64_t begin) const;
  void give_back(BlockId& entry);

  BlockPool* pool_;
  std::int64_t window_;
  int group_;
  std::vector<BlockId> blocks_;
};

/// Blocks that `tokens` positions occupy.
int blocks_for(std::int64_t tokens);

}  // namespace ridgeline
