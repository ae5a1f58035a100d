#pragma once

#include <cstdint>
#include <vector>

namespace ridgeline {

using BlockId = std::int32_t;

/// Which blocks of the KV cache are free. Knows ids, not what is in them nor whose
/// they are.
///
///     free ids   | 7 | 2 | 5 |...        a stack: allocate() pops, free() pushes, O(1)
///     in use     0 0 1 1 0 1 ...         per id, to catch a block freed twice
class BlockPool {
 public:
  explicit BlockPool(int blocks);

  int capacity() const { return static_cast<int>(in_use_.size()); }
  int available() const { return static_cast<int>(free_.size()); }

  /// Takes one block; available() must not be 0.
  BlockId allocate();
  /// Gives a block back that allocate() handed out.
  void free(BlockId block);

 private:
  std::vector<BlockId> free_;
  std::vector<bool> in_use_;
};

/// The blocks of one sequence, in the order of its positions: block i holds
/// positions [16 i, 16 i + 16). Gives them back when it goes.
class BlockTable {
 public:
  explicit BlockTable(BlockPool& pool) : pool_(&pool) {}
  ~BlockTable() { clear(); }
  BlockTable(BlockTable&& other) noexcept;
  BlockTable& operator=(BlockTable&&) = delete;

  /// Makes room for `tokens` positions in all. False, with nothing taken, when the
  /// pool has too few blocks.
  bool reserve(std::int64_t tokens);
  void clear();

  const std::vector<BlockId>& blocks() const { return blocks_; }

 private:
  BlockPool* pool_;
  std::vector<BlockId> blocks_;
};

/// Blocks that `tokens` positions occupy.
int blocks_for(std::int64_t tokens);

}  // namespace ridgeline
