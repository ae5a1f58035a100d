#pragma once

#include "ridgeline/kernels/impl/attention_softmax.h"
#include "ridgeline/kernels/impl/isa_entry.h"

// Attention of a run of query rows over one span of the cache, tile by tile of rows:
// scores, softmax step and weighted sum per chunk of 64 positions. What a row gets
// depends on that row alone: tiles only decide which rows share a read of K and V.
//
// A position that a row may not see takes no part in its arithmetic. Its score is
// computed along with the others' and then discarded; its V, which may hold anything
// (0 x NaN is NaN), is kept away by ending the row's sum before it.

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// max (in log2 units), sum, then acc on a cache line of its own.
inline constexpr int kStateHeader = 16;

std::size_t state_floats(int head_dim) {
  return static_cast<std::size_t>(kStateHeader + padded_head_dim(head_dim));
}

inline constexpr int kScratchAlign = 16;  // floats in a cache line
std::size_t scratch_floats(int head_dim, int) {
  return static_cast<std::size_t>(kTileRows *
                                      (2 * padded_head_dim(head_dim) + kAttentionChunk + kLanes) +
                                  4 * kRowsPadded + kScratchAlign);
}

/// About 96 rows in full tiles: the first tile brings the span into the second-level
/// cache, the others find it there.
int tile_positions(int group) {
  constexpr int kRows = 96;
  int positions = 1;  // of the smallest number of full tiles
  while (positions * group % kTileRows != 0) ++positions;
  if (positions * group > 2 * kRows) positions = 1;
  const int times = kRows / (positions * group);
  return positions * (times > 1 ? times : 1);
}

RIDGELINE_INLINE const float* query_row(const AttentionSpan& span, int row) {
  return span.q + row / span.group * span.q_position_stride +
         static_cast<std::ptrdiff_t>(row % span.group) * span.head_dim;
}

TileState carve_scratch(float* scratch, int padded_dim, int rows) {
  const auto misaligned = reinterpret_cast<std::uintptr_t>(scratch) / sizeof(float) % kScratchAlign;
  scratch += (kScratchAlign - misaligned) % kScratchAlign;
  TileState tile;
  tile.rows = rows;
  tile.tile_rows = tile_holding(rows);
  const auto take = [&](int floats) {
    float* p = scratch;
    scratch += floats;
    return p;
  };
  tile.max = take(kRowsPadded);
  tile.shift = take(kRowsPadded);
  tile.alpha = take(kRowsPadded);
  tile.ones = take(kRowsPadded);
  tile.q = take(tile.tile_rows * padded_dim);
  tile.acc = take(tile.tile_rows * padded_dim);
  tile.scores = take(tile.tile_rows * kAttentionChunk);
  tile.sum = take(tile.tile_rows * kLanes);
  return tile;
}

/// Copies the queries of rows [first_row, first_row + tile.rows) into panels, and empties
/// the running state.
void start_tile(const TileState& tile, const AttentionSpan& span, int first_row) {
  const int padded_dim = padded_head_dim(span.head_dim);
  for (int r = 0; r < tile.tile_rows; ++r) {
    const float* q = r < tile.rows ? query_row(span, first_row + r) : nullptr;
    const int dims = r < tile.rows ? span.head_dim : 0;
    for (int d = 0; d < padded_dim; d += kLanes) {
      const std::ptrdiff_t at = (d / kPanel * tile.tile_rows + r) * kPanel + d % kPanel;
      store(tile.q + at, d < dims ? load_first(q + d, dims - d) : zero_f());
      store(tile.acc + at, zero_f());
    }
    store(tile.sum + r * kLanes, zero_f());
  }
  for (int r = 0; r < kRowsPadded; r += kLanes) {
    store(tile.max + r, splat(-__builtin_inff()));
    store(tile.alpha + r, zero_f());
    store(tile.shift + r, zero_f());
    store(tile.ones + r, splat(1.0f));
  }
}

/// Adds the tokens from `token` on to rows [begin, end), each up to its own last one:
/// first those that all of these rows see, then half of the rows at a time.
template <class Kv>
void weigh_rows(const TileState& tile, const ChunkBlocks& v, int padded_dim, int begin, int end,
                int token, const float* alpha) {
  const int common = tile.visible[begin] > token ? tile.visible[begin] : token;
  if (common > token || alpha != tile.ones) {
    for (int r = begin; r < end;) {
      const int rows = tile_within(end - r);
      WeighArgs args;
      args.alpha = alpha + r;
      args.p = tile.scores + r * kPanel;
      args.panel_stride = tile.tile_rows * kPanel;
      args.v = &v;
      args.v_row_bytes = padded_dim * Kv::kBytes;
      args.token_begin = token;
      args.token_end = common;
      for (int panel = 0, panels = padded_dim / kPanel; panel < panels;) {
        int log2_panels = 2;
        while ((1 << log2_panels) > panels_of(rows) || panel + (1 << log2_panels) > panels)
          --log2_panels;
        args.acc = tile.acc + panel * args.panel_stride + r * kPanel;
        args.v_offset_bytes = panel * kPanel * Kv::kBytes;
        kTiles<Kv>.weigh[rows][log2_panels](args);
        panel += 1 << log2_panels;
      }
      r += rows;
    }
  }
  if (tile.visible[end - 1] <= common) return;
  const int middle = begin + (end - begin) / 2;
  weigh_rows<Kv>(tile, v, padded_dim, begin, middle, common, tile.ones);
  weigh_rows<Kv>(tile, v, padded_dim, middle, end, common, tile.ones);
}

/// Where the blocks of a chunk lie, and those of the next one.
struct ChunkWalk {
  std::int64_t blocks_end;  ///< of what this tile sees
  std::int64_t ahead_end;   ///< of what is worth prefetching

  ChunkBlocks at(const AttentionSpan& span, const std::byte* cache, std::int64_t first) const {
    ChunkBlocks chunk;
    for (int b = 0; b < kChunkBlocks; ++b) {
      const std::int64_t now = first + b < blocks_end ? first + b : blocks_end - 1;
      const std::int64_t next = now + kChunkBlocks < ahead_end ? now + kChunkBlocks : now;
      chunk.now[b] = cache + static_cast<std::size_t>(span.block_table[now]) * span.block_stride;
      chunk.next[b] = cache + static_cast<std::size_t>(span.block_table[next]) * span.block_stride;
    }
    return chunk;
  }
};

void store_state(const TileState& tile, int head_dim, float* state) {
  const int padded_dim = padded_head_dim(head_dim);
  for (int r = 0; r < tile.rows; ++r, state += state_floats(head_dim)) {
    state[0] = tile.max[r];
    state[1] = reduce_add(load(tile.sum + r * kLanes));
    for (int d = 0; d < padded_dim; d += kLanes)
      store(state + kStateHeader + d,
            load(tile.acc + (d / kPanel * tile.tile_rows + r) * kPanel + d % kPanel));
  }
}

template <class Kv>
void attend_tile(const AttentionSpan& span, int first_row, int rows) {
  const int padded_dim = padded_head_dim(span.head_dim);
  TileState tile = carve_scratch(span.scratch, padded_dim, rows);
  start_tile(tile, span, first_row);

  // Row r sees positions below limit(r).
  const auto limit = [&](int r) {
    const std::int64_t end = span.first_position + (first_row + r) / span.group + 1;
    return end < span.span_end ? end : span.span_end;
  };
  const auto blocks = [](std::int64_t positions) {
    return (positions + kKvBlockTokens - 1) / kKvBlockTokens;
  };
  const std::int64_t first_limit = limit(0), last_limit = limit(rows - 1);
  const ChunkWalk walk = {
      .blocks_end = blocks(last_limit),
      .ahead_end = blocks(span.ahead_end > span.span_end ? span.ahead_end : span.span_end)};
  const float log2_scale = span.scale * kLog2E;

  for (std::int64_t begin = span.span_begin; begin < last_limit; begin += kAttentionChunk) {
    const std::int64_t first_block = begin / kKvBlockTokens;
    const ChunkBlocks k = walk.at(span, span.k_cache, first_block);
    for (int b = 0; b < kChunkBlocks && first_block + b < walk.blocks_end;
         b += panels_of(tile.tile_rows))
      kTiles<Kv>.score[tile.tile_rows](tile.q, padded_dim, k, b, tile.scores);

    const bool all_visible = first_limit - begin >= kAttentionChunk;
    for (int r = 0; r < tile.tile_rows; ++r) {
      const std::int64_t count =
          all_visible ? kAttentionChunk : limit(r < rows ? r : rows - 1) - begin;
      tile.visible[r] = static_cast<int>(count < 0                 ? 0
                                         : count < kAttentionChunk ? count
                                                                   : kAttentionChunk);
    }
    if (all_visible) {
      softmax_step<false>(tile, log2_scale);
    } else {
      softmax_step<true>(tile, log2_scale);
    }
    const ChunkBlocks v = walk.at(span, span.v_cache, first_block);
    weigh_rows<Kv>(tile, v, padded_dim, 0, tile.tile_rows, 0, tile.alpha);
  }
  store_state(tile, span.head_dim,
              span.state + static_cast<std::size_t>(first_row) * state_floats(span.head_dim));
}

void prefetch_queries(const AttentionSpan& span, int begin, int end) {
  for (int r = begin; r < end; ++r)
    for (int d = 0; d < span.head_dim; d += 16) __builtin_prefetch(query_row(span, r) + d, 0, 2);
}

template <class Kv>
void attend_rows(const AttentionSpan& span) {
  const int rows = span.positions * span.group;
  const auto tile_end = [&](int r) { return rows - r < kTileRows ? rows : r + kTileRows; };
  // The rows of q lie pages apart. As many at once as the core can wait for, and each
  // tile's while the one before it computes.
  prefetch_queries(span, 0, tile_end(0));
  for (int r = 0; r < rows; r = tile_end(r)) {
    prefetch_queries(span, tile_end(r), tile_end(tile_end(r)));
    attend_tile<Kv>(span, r, tile_end(r) - r);
  }
}

void attention_span(const AttentionSpan& span) {
  switch (span.kv_dtype) {
    case DType::kF32:
      return attend_rows<KvRows<DType::kF32>>(span);
    case DType::kBF16:
      return attend_rows<KvRows<DType::kBF16>>(span);
    default:
      return attend_rows<KvRows<DType::kF16>>(span);
  }
}

void attention_merge(float* into, const float* from, int head_dim, int rows) {
  const int padded_dim = padded_head_dim(head_dim);
  const std::size_t floats = state_floats(head_dim);
  for (int r = 0; r < rows; ++r, into += floats, from += floats) {
    // A span of which the row saw nothing must leave no trace.
    if (from[0] == -__builtin_inff() && from[1] == 0.0f) continue;
    const VecF into_max = splat(into[0]), from_max = splat(from[0]);
    const VecF new_max = max(from_max, into_max);
    const VecF base = max(new_max, splat(kLowestFloat));
    const VecF a = exp2_nonpositive(sub(into_max, base));
    const VecF b = exp2_nonpositive(sub(from_max, base));
    const VecF sum = fma(splat(from[1]), b, mul(splat(into[1]), a));
    for (int d = kStateHeader; d < kStateHeader + padded_dim; d += kLanes)
      store(into + d, fma(load(from + d), b, mul(load(into + d), a)));
    store_first(into, new_max, 1);
    store_first(into + 1, sum, 1);
  }
}

void attention_finish(const float* state, int head_dim, int group, int positions, float* out,
                      std::ptrdiff_t out_position_stride) {
  const std::size_t floats = state_floats(head_dim);
  for (int p = 0; p < positions; ++p) {
    float* row_out = out + p * out_position_stride;
    for (int h = 0; h < group; ++h, state += floats, row_out += head_dim) {
      const VecF reciprocal = splat(1.0f / state[1]);
      for (int d = 0; d < head_dim; d += kLanes)
        store_first(row_out + d, mul(load(state + kStateHeader + d), reciprocal), head_dim - d);
    }
  }
}

inline constexpr AttentionKernels kAttentionKernels = {
    .state_floats = state_floats,
    .scratch_floats = scratch_floats,
    .tile_positions = tile_positions,
    .span = attention_span,
    .merge = attention_merge,
    .finish = attention_finish,
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
