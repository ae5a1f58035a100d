#pragma once

#include <cstdint>
#include <vector>

#include "ridgeline/tensor/kv_block.h"

namespace ridgeline {

using BlockId = std::int32_t;

/// Which blocks of the KV cache are free. Knows ids, not what is in them nor whose
/// they are.
///
///     free ids   | 7 | 2 | 5 |...        a stack: allocate() pops, free() pushes, O(1)
///     in use     0 0 1 1 0 1 ...         per id, to catch a block freed twice
///
/// Some of the free ones may be set aside: promised to sequences that will need them later.
class BlockPool {
 public:
  explicit BlockPool(int blocks);

  int capacity() const { return static_cast<int>(in_use_.size()); }
  /// Neither handed out nor set aside.
  int available() const { return static_cast<int>(free_.size()) - set_aside_; }

  /// Takes one block; available() must not be 0.
  BlockId allocate();
  /// Gives a block back that was handed out.
  void free(BlockId block);

  /// Sets `blocks` of the available ones aside; negative: makes as many available again.
  void set_aside(int blocks);
  /// Takes one of those set aside.
  BlockId allocate_set_aside();

 private:
  BlockId pop();

  std::vector<BlockId> free_;
  std::vector<bool> in_use_;
  int set_aside_ = 0;
};

/// The blocks of one sequence in one group of layers, in the order of its positions: entry i
/// is the block of positions [16 i, 16 i + 16). Gives them back when it goes.
///
/// With a window, those that no row to come sees go back as the sequence advances, and their
/// entries become kNoBlock:
///
///     window 20, next row at position 52, which sees [33, 52]:   | - | - | 7 | 2 |
class BlockTable {
 public:
  /// `window`: positions that a row sees at most, itself included; 0: all.
  explicit BlockTable(BlockPool& pool, std::int64_t window = 0) : pool_(&pool), window_(window) {}
  ~BlockTable() { clear(); }
  BlockTable(BlockTable&& other) noexcept;
  BlockTable& operator=(BlockTable&&) = delete;

  /// Blocks that a sequence of `tokens` holds at most at a time, if it is computed in steps of
  /// up to `step_tokens`.
  static int most_blocks(std::int64_t window, std::int64_t tokens, std::int64_t step_tokens);

  /// Makes room for `tokens` positions in all. Without a window the blocks are taken, with one
  /// they are set aside until advance() needs them. False, with nothing taken, when the pool
  /// has too few.
  bool reserve(std::int64_t tokens, std::int64_t step_tokens = 1);
  /// How many more blocks that needs.
  int blocks_missing(std::int64_t tokens, std::int64_t step_tokens) const;

  /// Before a step that computes the positions [begin, end), for which room was reserved:
  /// afterwards there is a block for everything that their rows see, and with a window none
  /// before. Blocks that had gone back are new ones, with anything in them: see holds().
  void advance(std::int64_t begin, std::int64_t end);
  /// Whether everything that a row at `position` sees before itself is still there.
  bool holds(std::int64_t position) const;
  /// Gives back the blocks behind the first `tokens` positions, and what was set aside.
  void truncate(std::int64_t tokens);
  void clear() { truncate(0); }

  const std::vector<BlockId>& blocks() const { return blocks_; }

 private:
  /// Index of the first block that a row at `position` sees.
  std::size_t first_seen(std::int64_t position) const;
  void give_back(BlockId& entry);

  BlockPool* pool_;
  std::int64_t window_;
  std::vector<BlockId> blocks_;
  int held_ = 0;       ///< entries that are blocks
  int set_aside_ = 0;  ///< in the pool, for this table
};

/// Blocks that `tokens` positions occupy.
int blocks_for(std::int64_t tokens);

}  // namespace ridgeline
