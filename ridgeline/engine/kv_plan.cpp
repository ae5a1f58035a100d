#include "ridgeline/engine/kv_plan.h"

#include <algorithm>

#include "ridgeline/kv/block_table.h"

namespace ridgeline {
namespace {

constexpr std::uint64_t kMostBlocks = 1U << 30;

}  // namespace

Result<KvSizes> KvSizes::of(const Backend& backend, const KvCacheShape& shape,
                            std::int64_t step_tokens) {
  KvSizes sizes;
  sizes.step_tokens_ = step_tokens;
  for (const std::int64_t window : shape.windows()) {
    RIDGELINE_TRY(const std::size_t bytes,
                  backend.kv_block_bytes(shape, static_cast<int>(sizes.groups_.size())));
    sizes.groups_.push_back({window, bytes});
  }
  return sizes;
}

std::vector<int> KvSizes::blocks(std::int64_t tokens) const {
  std::vector<int> all;
  for (const Group& g : groups_)
    all.push_back(BlockTable::most_blocks(g.window, tokens, step_tokens_));
  return all;
}

std::uint64_t KvSizes::bytes(std::int64_t tokens) const {
  const std::vector<int> counts = blocks(tokens);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < counts.size(); ++i)
    sum += static_cast<std::uint64_t>(counts[i]) * groups_[i].block_bytes;
  return sum;
}

std::int64_t KvSizes::tokens_in(std::uint64_t budget) const {
  std::int64_t fits = 0, too_many = std::int64_t{kMostBlocks} + 1;  // blocks
  while (too_many - fits > 1) {
    const std::int64_t middle = fits + (too_many - fits) / 2;
    (bytes(middle * kKvBlockTokens) <= budget ? fits : too_many) = middle;
  }
  return fits * kKvBlockTokens;
}

double KvSizes::bytes_seen(std::int64_t tokens) const {
  double sum = 0;
  for (const Group& g : groups_)
    sum += static_cast<double>(g.window > 0 ? std::min(g.window, tokens) : tokens) *
           static_cast<double>(g.block_bytes) / kKvBlockTokens;
  return sum;
}

std::vector<int> KvSizes::pools(std::int64_t context, int sequences) const {
  std::vector<int> all = blocks(context);
  for (int& count : all)
    count = static_cast<int>(std::min<std::uint64_t>(
        static_cast<std::uint64_t>(count) * static_cast<std::uint64_t>(sequences), kMostBlocks));
  return all;
}

std::vector<int> KvSizes::pools_in(std::uint64_t budget, std::int64_t context,
                                   int sequences) const {
  std::vector<int> all = blocks(context);
  // Windows for as many sequences as fit at full length; the rest is for what has no bound.
  const double fit = static_cast<double>(budget) / static_cast<double>(bytes(context));
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (groups_[i].window == 0) continue;
    all[i] = static_cast<int>(std::min<double>(fit, sequences) * all[i]);
    budget -= static_cast<std::uint64_t>(all[i]) * groups_[i].block_bytes;
  }
  for (std::size_t i = 0; i < all.size(); ++i)
    if (groups_[i].window == 0)
      all[i] = static_cast<int>(std::min(budget / groups_[i].block_bytes, kMostBlocks));
  return all;
}

}  // namespace ridgeline
