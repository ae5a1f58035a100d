#include "ridgeline/kv/block_pool.h"

#include "ridgeline/base/check.h"

namespace ridgeline {

BlockPool::BlockPool(int blocks) : entries_(static_cast<std::size_t>(blocks) + 1) {
  RIDGELINE_CHECK(blocks >= 0);
  available_ = blocks;
  by_key_.reserve(static_cast<std::size_t>(blocks));
  // In ascending order, so that the first blocks handed out are 0, 1, 2: neighbours in memory.
  for (BlockId id = 0; id <= blocks; ++id) {
    Entry& e = entries_[static_cast<std::size_t>(id)];
    e.previous = id == 0 ? blocks : id - 1;
    e.next = id == blocks ? 0 : id + 1;
  }
}

const BlockPool::Entry& BlockPool::entry(BlockId block) const {
  RIDGELINE_CHECK(block >= 0 && block < capacity());
  return entries_[static_cast<std::size_t>(block)];
}

BlockPool::Entry& BlockPool::entry(BlockId block) {
  RIDGELINE_CHECK(block >= 0 && block < capacity());
  return entries_[static_cast<std::size_t>(block)];
}

void BlockPool::unlink(BlockId block) {
  Entry& e = entry(block);
  entries_[static_cast<std::size_t>(e.previous)].next = e.next;
  entries_[static_cast<std::size_t>(e.next)].previous = e.previous;
  --available_;
  if (e.key) --cached_;
}

void BlockPool::link_before(BlockId next, BlockId block) {
  Entry& e = entry(block);
  e.next = next;
  e.previous = entries_[static_cast<std::size_t>(next)].previous;
  entries_[static_cast<std::size_t>(e.previous)].next = block;
  entries_[static_cast<std::size_t>(next)].previous = block;
  ++available_;
  if (e.key) ++cached_;
}

BlockId BlockPool::allocate() {
  RIDGELINE_CHECK(available_ > 0);
  const BlockId block = entries_.back().next;
  unlink(block);
  Entry& e = entry(block);
  if (e.key) by_key_.erase(*e.key);
  e.key.reset();
  e.references = 1;
  return block;
}

void BlockPool::share(BlockId block) {
  Entry& e = entry(block);
  RIDGELINE_CHECK(e.references > 0 || e.key);
  if (e.references++ == 0) unlink(block);
}

void BlockPool::release(BlockId block) {
  Entry& e = entry(block);
  RIDGELINE_CHECK(e.references > 0);
  if (--e.references == 0) link_before(e.key ? end() : entries_.back().next, block);
}

void BlockPool::publish(BlockId block, const BlockKey& key) {
  Entry& e = entry(block);
  RIDGELINE_CHECK(e.references > 0);
  if (e.key || !by_key_.try_emplace(key, block).second) return;
  e.key = key;
}

std::optional<BlockId> BlockPool::find(const BlockKey& key) const {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return std::nullopt;
  return found->second;
}

void BlockPool::forget() {
  for (const auto& [key, block] : by_key_) entry(block).key.reset();
  by_key_.clear();
  cached_ = 0;
}

}  // namespace ridgeline
