#pragma once

#include "ridgeline/kernels/impl/attention_latent.h"
#include "ridgeline/kernels/impl/attention_weigh.h"

// Attention of a run of query rows over one span of the cache, tile by tile of rows:
// scores, softmax step and weighted sum per chunk of 64 positions. What a row gets
// depends on that row alone: tiles only decide which rows share a read of K and V, and
// chunks of which a row sees nothing leave its state as it was.
//
// A position that a row may not see takes no part in its arithmetic. Its score is
// computed along with the others' and then discarded; its V is kept away
// (attention_weigh.h). Blocks of which no row sees anything are not touched.
//
// `Arithmetic` makes the two products: InFloats below, or another with its members.

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// max (in log2 units), sum, then acc on a cache line of its own.
inline constexpr int kStateHeader = 16;

inline std::size_t state_floats(int value_dim) {
  return static_cast<std::size_t>(kStateHeader + padded_head_dim(value_dim));
}

/// Rows that share a chunk of a latent cache once it is transposed. As many as make the
/// transposition a tenth of the work; their states stay in the second-level cache.
inline constexpr int kLatentRows = 48;
static_assert(kLatentRows % kTileRows == 0);
inline constexpr int kLatentTiles = kLatentRows / kTileRows;

/// Products of floats, which `KvRows_` makes of the cache.
template <class KvRows_>
struct InFloats {
  using Rows = KvRows_;
  /// Of scratch memory beside a tile's own, for any tile.
  static constexpr int extra_floats(int /*padded_dim*/, int /*padded_value_dim*/) { return 0; }
  /// Once the tile's q is there.
  static void prepare(TileState&, int /*padded_dim*/) {}
  /// Of the blocks [block, block + panels_of(tile_rows)) of a chunk.
  static void score(const TileState& tile, int padded_dim, const ChunkBlocks& k, int block) {
    kScoreTiles<Rows>.at[tile.tile_rows](tile.q, padded_dim, k, block, tile.scores);
  }
  /// acc = alpha acc + p V over what each row sees of the chunk.
  static void add_values(const TileState& tile, const ChunkValues& v, Seen seen) {
    ridgeline::RIDGELINE_ISA::add_values<Rows>(tile, v, seen);
  }
};

inline constexpr int kScratchAlign = 16;  // floats in a cache line
template <class Arithmetic>
int tile_floats(int padded_dim, int padded_value_dim) {
  return kTileRows * (padded_dim + padded_value_dim + kAttentionChunk + kLanes) + 4 * kRowsPadded +
         2 * kScratchAlign + Arithmetic::extra_floats(padded_dim, padded_value_dim);
}
template <class Arithmetic>
std::size_t scratch_floats(int head_dim, int value_dim, bool latent) {
  const int padded_dim = padded_head_dim(head_dim), value = padded_head_dim(value_dim);
  const int tile = tile_floats<Arithmetic>(padded_dim, value);
  return static_cast<std::size_t>(kScratchAlign +
                                  (latent ? kLatentTiles * tile + kAttentionChunk * value : tile));
}

RIDGELINE_INLINE const float* query_row(const AttentionSpan& span, int row) {
  return span.q + row / span.group * span.q_position_stride +
         static_cast<std::ptrdiff_t>(row % span.group) * span.head_dim;
}

/// Positions from a up to b, where that is not empty.
struct Positions {
  std::int64_t begin, end;
};
/// What a row of the call sees of [0, span_end).
RIDGELINE_INLINE Positions seen_by(const AttentionSpan& span, int row) {
  const std::int64_t position = span.first_position + row / span.group;
  const std::int64_t end = span.causal ? position + 1 : span.span_end;
  const std::int64_t begin = span.window > 0 ? position - span.window + 1 : 0;
  return {begin > 0 ? begin : 0, end < span.span_end ? end : span.span_end};
}
RIDGELINE_INLINE int clamp_to_chunk(std::int64_t tokens) {
  return static_cast<int>(tokens < 0 ? 0 : tokens < kAttentionChunk ? tokens : kAttentionChunk);
}

/// A tile of rows on its way through the span.
struct Tile {
  TileState state;
  int first_row;
  Positions seen;          ///< by any of its rows
  std::int64_t all_begin;  ///< [all_begin, all_end) is seen by all of them
  std::int64_t all_end;
};

inline float* align(float* scratch) {
  const auto misaligned = reinterpret_cast<std::uintptr_t>(scratch) / sizeof(float) % kScratchAlign;
  return scratch + (kScratchAlign - misaligned) % kScratchAlign;
}

inline TileState carve_scratch(float* scratch, int padded_dim, int padded_value_dim, int rows) {
  scratch = align(scratch);
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
  tile.acc = take(tile.tile_rows * padded_value_dim);
  tile.scores = take(tile.tile_rows * kAttentionChunk);
  tile.sum = take(tile.tile_rows * kLanes);
  tile.extra = align(scratch);
  tile.extra_p = nullptr;
  return tile;
}

/// Copies the queries of rows [first_row, first_row + rows) into panels, and empties the
/// running state.
Tile start_tile(const AttentionSpan& span, int first_row, int rows, float* scratch) {
  const int padded_dim = padded_head_dim(span.head_dim);
  const int padded_value_dim = padded_head_dim(span.value_dim);
  Tile t;
  t.state = carve_scratch(scratch, padded_dim, padded_value_dim, rows);
  t.first_row = first_row;
  const Positions first = seen_by(span, first_row), last = seen_by(span, first_row + rows - 1);
  t.seen = {first.begin > span.span_begin ? first.begin : span.span_begin, last.end};
  t.all_begin = last.begin;
  t.all_end = first.end;

  const TileState& tile = t.state;
  const auto at = [&](int r, int d) {
    return (d / kPanel * tile.tile_rows + r) * kPanel + d % kPanel;
  };
  for (int r = 0; r < tile.tile_rows; ++r) {
    const float* q = r < rows ? query_row(span, first_row + r) : nullptr;
    const int dims = r < rows ? span.head_dim : 0;
    for (int d = 0; d < padded_dim; d += kLanes)
      store(tile.q + at(r, d), d < dims ? load_first(q + d, dims - d) : zero_f());
    for (int d = 0; d < padded_value_dim; d += kLanes) store(tile.acc + at(r, d), zero_f());
    store(tile.sum + r * kLanes, zero_f());
  }
  for (int r = 0; r < kRowsPadded; r += kLanes) {
    store(tile.max + r, splat(-__builtin_inff()));
    store(tile.alpha + r, zero_f());
    store(tile.shift + r, zero_f());
    store(tile.ones + r, splat(1.0f));
  }
  return t;
}

/// Where the blocks of a chunk lie, and those of the next one.
struct ChunkWalk {
  std::int64_t blocks_begin, blocks_end;  ///< of what the rows see
  std::int64_t ahead_end;                 ///< of what is worth prefetching

  ChunkWalk(const AttentionSpan& span, Positions seen) {
    const auto end_of = [](std::int64_t positions) {
      return (positions + kKvBlockTokens - 1) / kKvBlockTokens;
    };
    blocks_begin = seen.begin / kKvBlockTokens;
    blocks_end = end_of(seen.end);
    ahead_end = end_of(span.ahead_end > span.span_end ? span.ahead_end : span.span_end);
  }

  ChunkBlocks at(const AttentionSpan& span, const std::byte* cache, std::int64_t first) const {
    ChunkBlocks chunk;
    for (int b = 0; b < kChunkBlocks; ++b) {
      std::int64_t now = first + b < blocks_end ? first + b : blocks_end - 1;
      if (now < blocks_begin) now = blocks_begin;
      const std::int64_t next = now + kChunkBlocks < ahead_end ? now + kChunkBlocks : now;
      chunk.now[b] = cache + static_cast<std::size_t>(span.block_table[now]) * span.block_stride;
      chunk.next[b] = cache + static_cast<std::size_t>(span.block_table[next]) * span.block_stride;
    }
    return chunk;
  }
};

ScoreFactors score_factors(const AttentionSpan& span) {
  if (span.softcap > 0) return {span.scale / span.softcap, span.softcap * kLog2E};
  return {0.0f, span.scale * kLog2E};
}

template <bool kCapped>
void step_of(const TileState& tile, Seen seen, ScoreFactors factors) {
  switch (seen) {
    case Seen::kAll:
      return softmax_step<Seen::kAll, kCapped>(tile, factors);
    case Seen::kFirst:
      return softmax_step<Seen::kFirst, kCapped>(tile, factors);
    case Seen::kBetween:
      return softmax_step<Seen::kBetween, kCapped>(tile, factors);
  }
}

/// Scores and softmax of the chunk at `begin`; says what its rows saw of it.
template <class Arithmetic>
Seen weights_of_chunk(const AttentionSpan& span, Tile& t, const ChunkWalk& walk, std::int64_t begin,
                      ScoreFactors factors) {
  TileState& tile = t.state;
  const std::int64_t first_block = begin / kKvBlockTokens;
  const ChunkBlocks k = walk.at(span, span.k_cache, first_block);
  const int panels = panels_of(tile.tile_rows);
  int block = 0;
  while (first_block + block + panels <= walk.blocks_begin) block += panels;
  for (; block < kChunkBlocks && first_block + block < walk.blocks_end; block += panels)
    Arithmetic::score(tile, padded_head_dim(span.head_dim), k, block);

  const Seen seen = t.all_begin > begin                   ? Seen::kBetween
                    : t.all_end - begin < kAttentionChunk ? Seen::kFirst
                                                          : Seen::kAll;
  for (int r = 0; r < tile.tile_rows; ++r) {
    tile.hidden[r] = 0;
    tile.visible[r] = kAttentionChunk;
    if (seen == Seen::kAll) continue;
    const Positions row = seen_by(span, t.first_row + (r < tile.rows ? r : tile.rows - 1));
    tile.hidden[r] = clamp_to_chunk(row.begin - begin);
    tile.visible[r] = clamp_to_chunk(row.end - begin);
  }
  if (span.softcap > 0)
    step_of<true>(tile, seen, factors);
  else
    step_of<false>(tile, seen, factors);
  return seen;
}

void store_state(const Tile& t, const AttentionSpan& span) {
  const TileState& tile = t.state;
  const std::size_t floats = state_floats(span.value_dim);
  float* state = span.state + static_cast<std::size_t>(t.first_row) * floats;
  for (int r = 0; r < tile.rows; ++r, state += floats) {
    state[0] = tile.max[r];
    state[1] = reduce_add(load(tile.sum + r * kLanes));
    for (int d = 0; d < padded_head_dim(span.value_dim); d += kLanes)
      store(state + kStateHeader + d,
            load(tile.acc + (d / kPanel * tile.tile_rows + r) * kPanel + d % kPanel));
  }
}

std::int64_t chunk_at(std::int64_t position) {
  return position / kAttentionChunk * kAttentionChunk;
}

template <class Arithmetic>
void attend_tile(const AttentionSpan& span, int first_row, int rows) {
  Tile tile = start_tile(span, first_row, rows, span.scratch);
  Arithmetic::prepare(tile.state, padded_head_dim(span.head_dim));
  const int padded_dim = padded_head_dim(span.value_dim);
  const ChunkWalk walk(span, tile.seen);
  const ScoreFactors factors = score_factors(span);
  for (std::int64_t begin = chunk_at(tile.seen.begin); begin < tile.seen.end;
       begin += kAttentionChunk) {
    const Seen seen = weights_of_chunk<Arithmetic>(span, tile, walk, begin, factors);
    const ChunkValues v = {walk.at(span, span.v_cache, begin / kKvBlockTokens),
                           padded_dim / kPanel};
    Arithmetic::add_values(tile.state, v, seen);
  }
  store_state(tile, span);
}

/// Several tiles, chunk by chunk, because the chunk's V has to be made first.
template <class Arithmetic>
void attend_latent_tiles(const AttentionSpan& span, int first_row, int rows) {
  const int key_dim = padded_head_dim(span.head_dim);
  const int padded_dim = padded_head_dim(span.value_dim);
  float* values = align(span.scratch);
  float* scratch = values + kAttentionChunk * padded_dim;
  const auto tile_scratch = static_cast<std::size_t>(tile_floats<Arithmetic>(key_dim, padded_dim));
  Tile tiles[kLatentTiles];
  int count = 0;
  for (int r = 0; r < rows; r += kTileRows, ++count, scratch += tile_scratch) {
    tiles[count] =
        start_tile(span, first_row + r, rows - r < kTileRows ? rows - r : kTileRows, scratch);
    Arithmetic::prepare(tiles[count].state, key_dim);
  }

  const Positions seen = {tiles[0].seen.begin, tiles[count - 1].seen.end};
  const ChunkWalk walk(span, seen);
  const ScoreFactors factors = score_factors(span);
  ChunkValues v = {{}, padded_dim / kPanel};
  for (int b = 0; b < kChunkBlocks; ++b)
    v.blocks.now[b] = v.blocks.next[b] =
        reinterpret_cast<const std::byte*>(values + b * kKvBlockTokens * padded_dim);
  for (std::int64_t begin = chunk_at(seen.begin); begin < seen.end; begin += kAttentionChunk) {
    const std::int64_t first_block = begin / kKvBlockTokens;
    const ChunkBlocks k = walk.at(span, span.k_cache, first_block);
    for (int b = 0; b < kChunkBlocks; ++b)
      if (first_block + b >= walk.blocks_begin && first_block + b < walk.blocks_end)
        values_of_keys<typename Arithmetic::Rows>(k.now[b], key_dim, padded_dim,
                                                  values + b * kKvBlockTokens * padded_dim);
    for (int i = 0; i < count; ++i) {
      if (begin >= tiles[i].seen.end || begin + kAttentionChunk <= tiles[i].seen.begin) continue;
      const Seen row_seen = weights_of_chunk<Arithmetic>(span, tiles[i], walk, begin, factors);
      add_values<KvRows<DType::kF32>>(tiles[i].state, v, row_seen);
    }
  }
  for (int i = 0; i < count; ++i) store_state(tiles[i], span);
}

void prefetch_queries(const AttentionSpan& span, int begin, int end) {
  for (int r = begin; r < end; ++r)
    for (int d = 0; d < span.head_dim; d += 16) __builtin_prefetch(query_row(span, r) + d, 0, 2);
}

template <class Arithmetic>
void attend_span(const AttentionSpan& span) {
  const int rows = span.positions * span.group;
  const int step = span.latent ? kLatentRows : kTileRows;
  const auto end_after = [&](int r) { return rows - r < step ? rows : r + step; };
  // The rows of q lie pages apart. As many at once as the core can wait for, and each
  // tile's while the one before it computes.
  prefetch_queries(span, 0, end_after(0));
  for (int r = 0; r < rows; r = end_after(r)) {
    prefetch_queries(span, end_after(r), end_after(end_after(r)));
    if (span.latent)
      attend_latent_tiles<Arithmetic>(span, r, end_after(r) - r);
    else
      attend_tile<Arithmetic>(span, r, end_after(r) - r);
  }
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
