#pragma once

#include "ridgeline/kernels/impl/attention_tiles.h"
#include "ridgeline/kernels/impl/exp2.h"
#include "ridgeline/kernels/impl/tanh.h"

// One step of the online softmax (Milakov & Gimelshein 2018; FlashAttention, Dao et
// al. 2022) over a chunk of 64 positions, for the rows of a tile:
//
//   max'  = max(max, log2(e) scale max(scores))
//   alpha = 2^(max - max')                         what acc and sum are rescaled by
//   p     = 2^(log2(e) scale score - max')         in place of the scores
//   sum'  = sum alpha + p
//
// sum is kept per lane and folded once, at the end of the span. Scores that a row may
// not see become -inf first, and with it p exactly 0. While a row has seen nothing,
// max stays -inf and the arithmetic uses the lowest float instead, which gives
// alpha = 0 and p = 0 without a branch. A soft-cap makes tanh(scale / cap score) of each
// score first; log2(e) cap then stands for log2(e) scale.

namespace ridgeline::RIDGELINE_ISA {
namespace {

inline constexpr int kVectorsPerChunk = kAttentionChunk / kLanes;
inline constexpr int kRowsPadded = (kTileRows + kLanes - 1) / kLanes * kLanes;
inline constexpr float kLowestFloat = -3.402823466e+38f;

/// The running state of a tile, in the thread's scratch memory.
struct TileState {
  int rows;        ///< that exist
  int tile_rows;   ///< that the tile has; the rest computes on zeros
  float* q;        ///< [panel of d][tile_rows][16]
  float* acc;      ///< [panel of d][tile_rows][16]
  float* scores;   ///< [block of the chunk][tile_rows][16]; p after the softmax
  float* sum;      ///< [tile_rows][kLanes]
  float* max;      ///< [kRowsPadded], in units of log2
  float* shift;    ///< [kRowsPadded], minus max, or minus the lowest float
  float* alpha;    ///< [kRowsPadded]
  float* ones;     ///< [kRowsPadded]
  float* extra;    ///< of the arithmetic (attention_span.h), on a cache line
  float* extra_p;  ///< likewise, set by its prepare()
  // Row r sees the tokens [hidden[r], visible[r]) of the chunk; both ascend.
  int hidden[kRowsPadded];
  int visible[kRowsPadded];
};

/// Which tokens of a chunk the rows of a tile see.
enum class Seen {
  kAll,
  kFirst,    ///< those before visible[r]
  kBetween,  ///< those from hidden[r] to visible[r]
};

/// What scores are multiplied with, within the tanh of a soft-cap and behind it.
struct ScoreFactors {
  float inner;  ///< where there is a soft-cap
  float outer;  ///< gives units of log2
};

RIDGELINE_INLINE float* score_vector(const TileState& tile, int row, int v) {
  return tile.scores + (v / kVectorsPerPanel * tile.tile_rows + row) * kPanel +
         v % kVectorsPerPanel * kLanes;
}

/// The largest score of each row, into tile.shift; caps scores and hides what is not seen.
template <Seen seen, bool kCapped>
RIDGELINE_INLINE void chunk_max(const TileState& tile, VecF inner) {
  const VecF hidden = splat(-__builtin_inff());
  for (int r = 0; r < tile.rows; ++r) {
    VecF s[kVectorsPerChunk];
#pragma GCC unroll 8
    for (int v = 0; v < kVectorsPerChunk; ++v) {
      s[v] = load(score_vector(tile, r, v));
      if constexpr (kCapped) s[v] = tanh(mul(s[v], inner));
      if constexpr (seen != Seen::kAll)
        s[v] = select(first_lanes(tile.visible[r] - v * kLanes), s[v], hidden);
      if constexpr (seen == Seen::kBetween)
        s[v] = select(first_lanes(tile.hidden[r] - v * kLanes), hidden, s[v]);
      if constexpr (kCapped || seen != Seen::kAll) store(score_vector(tile, r, v), s[v]);
    }
#pragma GCC unroll 3
    for (int step = kVectorsPerChunk / 2; step > 0; step /= 2)
#pragma GCC unroll 4
      for (int v = 0; v < step; ++v) s[v] = max(s[v], s[v + step]);
    tile.shift[r] = reduce_max(s[0]);
  }
}

template <Seen seen, bool kCapped>
__attribute__((noinline)) void softmax_step(const TileState& tile, ScoreFactors factors) {
  chunk_max<seen, kCapped>(tile, splat(factors.inner));
  const VecF factor = splat(factors.outer);
  for (int r = 0; r < tile.rows; r += kLanes) {
    const VecF old_max = load(tile.max + r);
    const VecF new_max = max(mul(load(tile.shift + r), factor), old_max);
    const VecF shift = sub(zero_f(), max(new_max, splat(kLowestFloat)));
    store(tile.max + r, new_max);
    store(tile.shift + r, shift);
    store(tile.alpha + r, exp2_nonpositive(add(old_max, shift)));
  }
  for (int r = 0; r < tile.rows; ++r) {
    const VecF shift = splat(tile.shift[r]);
    VecF p[kVectorsPerChunk];
#pragma GCC unroll 8
    for (int v = 0; v < kVectorsPerChunk; ++v) {
      p[v] = exp2_nonpositive(fma(load(score_vector(tile, r, v)), factor, shift));
      store(score_vector(tile, r, v), p[v]);
    }
#pragma GCC unroll 3
    for (int step = kVectorsPerChunk / 2; step > 0; step /= 2)
#pragma GCC unroll 4
      for (int v = 0; v < step; ++v) p[v] = add(p[v], p[v + step]);
    float* sum = tile.sum + r * kLanes;
    store(sum, fma(load(sum), splat(tile.alpha[r]), p[0]));
  }
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
