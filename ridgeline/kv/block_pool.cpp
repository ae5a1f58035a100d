#include "ridgeline/kv/block_pool.h"

#include <algorithm>
#include <utility>

#include "ridgeline/base/check.h"

namespace ridgeline {

BlockPool::BlockPool(int blocks) : in_use_(static_cast<std::size_t>(blocks), false) {
  RIDGELINE_CHECK(blocks >= 0);
  free_.reserve(static_cast<std::size_t>(blocks));
  // Descending, so that the first blocks handed out are 0, 1, 2: neighbours in memory.
  for (BlockId id = blocks - 1; id >= 0; --id) free_.push_back(id);
}

BlockId BlockPool::pop() {
  const BlockId block = free_.back();
  free_.pop_back();
  in_use_[static_cast<std::size_t>(block)] = true;
  return block;
}

BlockId BlockPool::allocate() {
  RIDGELINE_CHECK(available() > 0);
  return pop();
}

BlockId BlockPool::allocate_set_aside() {
  RIDGELINE_CHECK(set_aside_ > 0);
  --set_aside_;
  return pop();
}

void BlockPool::set_aside(int blocks) {
  RIDGELINE_CHECK(blocks <= available() && set_aside_ + blocks >= 0);
  set_aside_ += blocks;
}

void BlockPool::free(BlockId block) {
  RIDGELINE_CHECK(block >= 0 && block < capacity() && in_use_[static_cast<std::size_t>(block)]);
  in_use_[static_cast<std::size_t>(block)] = false;
  free_.push_back(block);
}

BlockTable::BlockTable(BlockTable&& other) noexcept
    : pool_(other.pool_),
      window_(other.window_),
      blocks_(std::move(other.blocks_)),
      held_(std::exchange(other.held_, 0)),
      set_aside_(std::exchange(other.set_aside_, 0)) {
  other.blocks_.clear();
}

int BlockTable::most_blocks(std::int64_t window, std::int64_t tokens, std::int64_t step_tokens) {
  if (window == 0 || window >= tokens) return blocks_for(tokens);
  // The rows of a step see window - 1 + step_tokens positions, which begin anywhere in a block:
  // one in the first, and the rest behind it.
  return std::min(blocks_for(tokens), blocks_for(window + step_tokens - 2) + 1);
}

int BlockTable::blocks_missing(std::int64_t tokens, std::int64_t step_tokens) const {
  return most_blocks(window_, tokens, step_tokens) - held_ - set_aside_;
}

bool BlockTable::reserve(std::int64_t tokens, std::int64_t step_tokens) {
  const int missing = blocks_missing(tokens, step_tokens);
  if (missing > pool_->available()) return false;
  if (window_ > 0) {
    // No more than those set aside can become too many, where a sequence goes on with less.
    const int change = std::max(missing, -set_aside_);
    pool_->set_aside(change);
    set_aside_ += change;
    return true;
  }
  for (int i = 0; i < missing; ++i) blocks_.push_back(pool_->allocate());
  held_ = static_cast<int>(blocks_.size());
  return true;
}

void BlockTable::advance(std::int64_t begin, std::int64_t end) {
  const auto needed = static_cast<std::size_t>(blocks_for(end));
  if (window_ == 0) {
    RIDGELINE_CHECK(needed <= blocks_.size());
    return;
  }
  const std::size_t first = first_seen(begin);
  for (std::size_t i = 0; i < std::min(first, blocks_.size()); ++i)
    if (blocks_[i] != kNoBlock) {
      give_back(blocks_[i]);
      pool_->set_aside(1);
      ++set_aside_;
    }
  blocks_.resize(std::max(needed, blocks_.size()), kNoBlock);
  for (std::size_t i = first; i < needed; ++i) {
    if (blocks_[i] != kNoBlock) continue;
    RIDGELINE_CHECK(set_aside_ > 0);
    blocks_[i] = pool_->allocate_set_aside();
    --set_aside_;
    ++held_;
  }
}

bool BlockTable::holds(std::int64_t position) const {
  const auto end = static_cast<std::size_t>(blocks_for(position));
  if (end > blocks_.size()) return false;
  for (std::size_t i = first_seen(position); i < end; ++i)
    if (blocks_[i] == kNoBlock) return false;
  return true;
}

void BlockTable::truncate(std::int64_t tokens) {
  // Last first, so that the pool hands them out again in the order of positions.
  while (blocks_.size() > static_cast<std::size_t>(blocks_for(tokens))) {
    if (blocks_.back() != kNoBlock) give_back(blocks_.back());
    blocks_.pop_back();
  }
  pool_->set_aside(-set_aside_);
  set_aside_ = 0;
}

std::size_t BlockTable::first_seen(std::int64_t position) const {
  if (window_ == 0 || position < window_) return 0;
  return static_cast<std::size_t>((position - window_ + 1) / kKvBlockTokens);
}

void BlockTable::give_back(BlockId& entry) {
  pool_->free(entry);
  entry = kNoBlock;
  --held_;
}

int blocks_for(std::int64_t tokens) {
  return static_cast<int>((tokens + kKvBlockTokens - 1) / kKvBlockTokens);
}

}  // namespace ridgeline
