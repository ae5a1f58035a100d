#pragma once

#include <cstdint>

// The numbers that cut work into items for threads and caches. None of them can
// change a result: each element's arithmetic has one order whatever the item.

namespace ridgeline {

/// Rows of activations that one work item takes: eight tiles.
inline constexpr std::int64_t kRowBlock = 64;
/// Widest run of output columns in an item's accumulators.
inline constexpr std::int64_t kMaxBlockColumns = 512;
/// Accumulators of a worker: 128 KB, half of them for each factor of gated_linear.
inline constexpr std::int64_t kScratchTileFloats = kRowBlock * kMaxBlockColumns;
/// Inputs that a pass over a block of panels covers, so that a tile's activations
/// stay in the first-level cache.
inline constexpr std::int64_t kChunkInputs = 2048;
/// Bytes of weights that a block of panels holds per pass: half of a 1 MB L2.
inline constexpr std::int64_t kBlockBytes = 512 << 10;
/// Likewise when the weights are read once and only bandwidth counts.
inline constexpr std::int64_t kStreamBytes = 96 << 10;
/// Up to this many tiles, each panel is finished before the next (it is in L1).
inline constexpr std::int64_t kPanelOuterTiles = 4;
/// Blocks of columns of the experts' down products, each of which goes through all experts.
inline constexpr int kExpertBlocksPerThread = 4;
/// Fewer attention items than this per thread: their spans are shared out instead.
inline constexpr int kSplitItemsPerThread = 4;
/// Query heads of one attention item at most: two tiles of AVX-512. Models have up to 128 for
/// the one KV head of latent attention, which would leave threads without work.
inline constexpr int kItemHeads = 48;
/// Element-wise work below this many floats is not worth waking a thread for.
inline constexpr std::int64_t kSerialFloats = 16 << 10;

/// The query heads of every KV head in runs of up to kItemHeads, one item each.
struct HeadTiling {
  HeadTiling(int query_heads, int cache_heads)
      : group(query_heads / cache_heads),
        kv_heads(cache_heads),
        runs_per_kv_head((group + kItemHeads - 1) / kItemHeads),
        most(group < kItemHeads ? group : kItemHeads) {}

  struct Run {
    int kv_head, first, count;  ///< query heads [first, first + count)
  };
  int runs() const { return kv_heads * runs_per_kv_head; }
  Run run(int index) const {
    const int kv_head = index / runs_per_kv_head, begin = index % runs_per_kv_head * kItemHeads;
    return {kv_head, kv_head * group + begin, begin + most < group ? most : group - begin};
  }

  int group, kv_heads, runs_per_kv_head;
  int most;  ///< heads of a run
};

}  // namespace ridgeline
