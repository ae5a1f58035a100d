#include "ridgeline/kv/block_pool.h"

#include "ridgeline/base/check.h"
#include "ridgeline/tensor/kv_block.h"

namespace ridgeline {

BlockPool::BlockPool(int blocks) : in_use_(static_cast<std::size_t>(blocks), false) {
  RIDGELINE_CHECK(blocks >= 0);
  free_.reserve(static_cast<std::size_t>(blocks));
  // Descending, so that the first blocks handed out are 0, 1, 2: neighbours in memory.
  for (BlockId id = blocks - 1; id >= 0; --id) free_.push_back(id);
}

BlockId BlockPool::allocate() {
  RIDGELINE_CHECK(!free_.empty());
  const BlockId block = free_.back();
  free_.pop_back();
  in_use_[static_cast<std::size_t>(block)] = true;
  return block;
}

void BlockPool::free(BlockId block) {
  RIDGELINE_CHECK(block >= 0 && block < capacity() && in_use_[static_cast<std::size_t>(block)]);
  in_use_[static_cast<std::size_t>(block)] = false;
  free_.push_back(block);
}

BlockTable::BlockTable(BlockTable&& other) noexcept
    : pool_(other.pool_), blocks_(std::move(other.blocks_)) {
  other.blocks_.clear();
}

bool BlockTable::reserve(std::int64_t tokens) {
  const int wanted = blocks_for(tokens) - static_cast<int>(blocks_.size());
  if (wanted > pool_->available()) return false;
  for (int i = 0; i < wanted; ++i) blocks_.push_back(pool_->allocate());
  return true;
}

void BlockTable::clear() {
  // Last first, so that the pool hands them out again in the order of positions.
  for (auto it = blocks_.rbegin(); it != blocks_.rend(); ++it) pool_->free(*it);
  blocks_.clear();
}

int blocks_for(std::int64_t tokens) {
  return static_cast<int>((tokens + kKvBlockTokens - 1) / kKvBlockTokens);
}

}  // namespace ridgeline
