#include "ridgeline/kv/block_table.h"

#include <algorithm>
#include <utility>

#include "ridgeline/base/check.h"

namespace ridgeline {

BlockTable::BlockTable(BlockTable&& other) noexcept
    : pool_(other.pool_),
      window_(other.window_),
      group_(other.group_),
      blocks_(std::exchange(other.blocks_, {})) {}

BlockTable& BlockTable::operator=(BlockTable&& other) noexcept {
  if (this == &other) return *this;
  clear();
  pool_ = other.pool_;
  window_ = other.window_;
  group_ = other.group_;
  blocks_ = std::exchange(other.blocks_, {});
  return *this;
}

int BlockTable::most_blocks(std::int64_t window, std::int64_t tokens, std::int64_t step_tokens) {
  if (window == 0 || window >= tokens) return blocks_for(tokens);
  // The rows of a step see window - 1 + step_tokens positions, which begin anywhere in a block:
  // one in the first, and the rest behind it.
  return std::min(blocks_for(tokens), blocks_for(window + step_tokens - 2) + 1);
}

std::size_t BlockTable::first_seen(std::int64_t position) const {
  if (window_ == 0 || position < window_) return 0;
  return static_cast<std::size_t>((position - window_ + 1) / kKvBlockTokens);
}

void BlockTable::give_back(BlockId& entry) {
  pool_->release(entry);
  entry = kNoBlock;
}

void BlockTable::retreat(std::int64_t position) {
  // Last first: of what one sequence leaves behind, its beginning is kept longest.
  for (std::size_t i = std::min(first_seen(position), blocks_.size()); i-- > 0;) {
    if (blocks_[i] == kNoBlock) break;  // and so are those before it
    give_back(blocks_[i]);
  }
}

/// The block that the row at `begin` is written to has rows of another table in it, or will.
bool BlockTable::copies_first(std::int64_t begin) const {
  if (begin % kKvBlockTokens == 0) return false;
  const auto index = static_cast<std::size_t>(begin / kKvBlockTokens);
  return index < blocks_.size() && blocks_[index] != kNoBlock &&
         pool_->references(blocks_[index]) > 1;
}

int BlockTable::blocks_missing(std::int64_t begin, std::int64_t end) const {
  const auto needed = static_cast<std::size_t>(blocks_for(end));
  auto missing = needed - std::min(needed, blocks_.size()) + (copies_first(begin) ? 1 : 0);
  for (std::size_t i = first_seen(begin); i < std::min(needed, blocks_.size()); ++i)
    if (blocks_[i] == kNoBlock) ++missing;
  return static_cast<int>(missing);
}

void BlockTable::advance(std::int64_t begin, std::int64_t end, std::vector<BlockCopy>& copies) {
  retreat(begin);
  const auto needed = static_cast<std::size_t>(blocks_for(end));
  if (copies_first(begin)) {
    BlockId& entry = blocks_[static_cast<std::size_t>(begin / kKvBlockTokens)];
    const BlockId own = pool_->allocate();
    copies.push_back({group_, entry, own});
    pool_->release(entry);
    entry = own;
  }
  blocks_.resize(std::max(needed, blocks_.size()), kNoBlock);
  for (std::size_t i = first_seen(begin); i < needed; ++i)
    if (blocks_[i] == kNoBlock) blocks_[i] = pool_->allocate();
}

bool BlockTable::reserve(std::int64_t tokens) {
  const int missing = blocks_for(tokens) - static_cast<int>(blocks_.size());
  if (missing > pool_->available()) return false;
  for (int i = 0; i < missing; ++i) blocks_.push_back(pool_->allocate());
  return true;
}

bool BlockTable::holds(std::int64_t position) const {
  const auto end = static_cast<std::size_t>(blocks_for(position));
  if (end > blocks_.size()) return false;
  for (std::size_t i = first_seen(position); i < end; ++i)
    if (blocks_[i] == kNoBlock) return false;
  return true;
}

void BlockTable::truncate(std::int64_t tokens) {
  // Last first, so that the pool hands them out again in the order of positions, and forgets the
  // ends of sequences before their beginnings.
  while (blocks_.size() > static_cast<std::size_t>(blocks_for(tokens))) {
    if (blocks_.back() != kNoBlock) give_back(blocks_.back());
    blocks_.pop_back();
  }
}

BlockTable BlockTable::fork() const {
  BlockTable other(*pool_, window_, group_);
  other.blocks_ = blocks_;
  for (const BlockId block : blocks_)
    if (block != kNoBlock) pool_->share(block);
  return other;
}

void BlockTable::publish(std::span<const BlockKey> keys, std::size_t begin, std::size_t end) {
  RIDGELINE_CHECK(end <= keys.size() && end <= blocks_.size());
  for (std::size_t i = begin; i < end; ++i)
    if (blocks_[i] != kNoBlock) pool_->publish(blocks_[i], keys[i]);
}

std::vector<bool> BlockTable::reusable(std::span<const BlockKey> keys) const {
  std::vector<bool> can(keys.size() + 1);
  std::size_t run = 0;  // of blocks that are there, up to here
  can[0] = true;
  for (std::size_t n = 1; n <= keys.size(); ++n) {
    run = pool_->find(keys[n - 1]) ? run + 1 : 0;
    if (run == 0 && window_ == 0) break;
    can[n] = run >= n - first_seen(static_cast<std::int64_t>(n) * kKvBlockTokens);
  }
  return can;
}

void BlockTable::adopt(std::span<const BlockKey> keys) {
  RIDGELINE_CHECK(blocks_.empty());
  blocks_.assign(keys.size(), kNoBlock);
  for (std::size_t i = first_seen(static_cast<std::int64_t>(keys.size()) * kKvBlockTokens);
       i < keys.size(); ++i) {
    const std::optional<BlockId> block = pool_->find(keys[i]);
    RIDGELINE_CHECK(block.has_value());
    pool_->share(*block);
    blocks_[i] = *block;
  }
}

int blocks_for(std::int64_t tokens) {
  return static_cast<int>((tokens + kKvBlockTokens - 1) / kKvBlockTokens);
}

}  // namespace ridgeline
