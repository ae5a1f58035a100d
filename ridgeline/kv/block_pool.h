#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "ridgeline/kv/block_key.h"
#include "ridgeline/tensor/kv_block.h"

namespace ridgeline {

using BlockId = std::int32_t;

/// Which blocks of the KV cache are in use, by how many, and which hold something that may be
/// found again. Knows ids, not what is in them nor whose they are.
///
///     in use      references > 0
///     free list   | 7 | 2 | ... | 5 | 9 | 4 |     a list through the blocks' own entries
///                  empty ones     cached ones      allocate() takes from the left
///                                 oldest first     release() puts cached ones on the right
///
/// A block that was published under a key keeps its content after its last user has gone, until
/// allocate() has nothing older to take. Everything is O(1).
class BlockPool {
 public:
  explicit BlockPool(int blocks);

  int capacity() const { return static_cast<int>(entries_.size()) - 1; }
  /// Of no user, so that allocate() may take them; cached ones among them.
  int available() const { return available_; }
  /// Of no user, and under a key.
  int cached() const { return cached_; }
  int references(BlockId block) const { return entry(block).references; }

  /// Takes a block for one user; available() must not be 0. What it was found by is forgotten.
  BlockId allocate();
  /// One more user of a block in use or cached.
  void share(BlockId block);
  /// One user less.
  void release(BlockId block);

  /// From now on find(key) gives this block in use, which is full; if another block is known by
  /// the key already, that one stays.
  void publish(BlockId block, const BlockKey& key);
  std::optional<BlockId> find(const BlockKey& key) const;
  /// Forgets every key.
  void forget();

 private:
  struct Entry {
    int references = 0;
    std::optional<BlockKey> key;
    BlockId previous = 0, next = 0;  ///< in the free list
  };

  const Entry& entry(BlockId block) const;
  Entry& entry(BlockId block);
  void unlink(BlockId block);
  void link_before(BlockId next, BlockId block);
  BlockId end() const { return capacity(); }  ///< the list's head and tail

  std::vector<Entry> entries_;  ///< one for each block, and the list's end
  int available_, cached_ = 0;
  std::unordered_map<BlockKey, BlockId, BlockKey::Hash> by_key_;
};

}  // namespace ridgeline
