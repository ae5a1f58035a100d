#pragma once

#include "ridgeline/kernels/impl/kv_rows.h"

// The two products of attention on a tile of query rows, in registers:
//
//   scores[row][token] = sum over d of q[row][d] K[d][token]
//   acc[row][d]        = acc[row][d] alpha[row] + sum over tokens of p[row][token] V[token][d]
//
// One chain of multiply-adds per element, d and token ascending, whatever the tile's
// shape. The left operands q and p, and acc, lie in panels of 16 columns,
// [16-column panel][row][16], so that one pointer and constant offsets reach all.
//
// The more rows, the fewer vectors side by side: each shape fills the registers. Each
// tile is a function of its own that is never inlined: GCC 12 keeps the accumulators
// in registers only then (measured in the feasibility study: 98 against 178 GFLOP/s).

namespace ridgeline::RIDGELINE_ISA {
namespace {

inline constexpr int kChunkBlocks = kAttentionChunk / kKvBlockTokens;
inline constexpr int kPanel = 16;  ///< columns of a panel
inline constexpr int kVectorsPerPanel = kPanel / kLanes;
static_assert(kPanel == kKvBlockTokens && kPanel == kHeadDimMultiple);

#if defined(__AVX512F__)
inline constexpr int kTileRows = 24;  ///< most rows of a tile
/// Panels (of tokens or of d) that a tile of this many rows has side by side; 0 where
/// there is no such tile.
constexpr int panels_of(int rows) {
  return rows == 1 || rows == 2 || rows == 3 || rows == 4 || rows == 6 ? 4
         : rows == 7 || rows == 8 || rows == 12                        ? 2
         : rows == 16 || rows == 24                                    ? 1
                                                                       : 0;
}
#elif defined(__AVX2__)
inline constexpr int kTileRows = 6;
constexpr int panels_of(int rows) {
  return rows == 1 ? 4 : rows == 2 || rows == 3 ? 2 : rows == 4 || rows == 6 ? 1 : 0;
}
#else
inline constexpr int kTileRows = 3;
constexpr int panels_of(int rows) { return rows == 1 ? 2 : rows <= 3 ? 1 : 0; }
#endif

/// The K (or V) of one head for the tokens of one chunk, and what to prefetch beside
/// it: the next chunk's. Entries past the last block repeat it.
struct ChunkBlocks {
  const std::byte* now[kChunkBlocks];
  const std::byte* next[kChunkBlocks];
};

template <int kBytes>
RIDGELINE_INLINE void prefetch_lines(const std::byte* p) {
  for (int i = 0; i < kBytes; i += 64) __builtin_prefetch(p + i, 0, 2);
}

/// acc = fma(a[r], b[v], acc) for every row and vector; a[r] lies kPanel floats apart.
/// The smaller operand is the one that is held in registers.
template <int kRows, int kVectors, class LoadB>
RIDGELINE_INLINE void rank_one_update(VecF (&acc)[kRows][kVectors], const float* a,
                                      const LoadB& load_b) {
  if constexpr (kRows < kVectors) {
    VecF x[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) x[r] = splat(a[r * kPanel]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const VecF b = load_b(v);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) acc[r][v] = fma(x[r], b, acc[r][v]);
    }
  } else {
    VecF b[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) b[v] = load_b(v);
#pragma GCC unroll 32
    for (int r = 0; r < kRows; ++r) {
      const VecF x = splat(a[r * kPanel]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) acc[r][v] = fma(x, b[v], acc[r][v]);
    }
  }
}

/// What the second product needs; the pointers are at the first row of the tile.
struct WeighArgs {
  float* acc;                   ///< at the first panel of d
  const float* alpha;           ///< [rows]
  const float* p;               ///< at the chunk's first token
  std::ptrdiff_t panel_stride;  ///< floats from panel to panel, of acc and of p
  const ChunkBlocks* v;
  int v_panels;                ///< of d
  int first_panel;             ///< of d, of this tile
  int token_begin, token_end;  ///< in the chunk
};

template <int kRows, int kVectors>
RIDGELINE_INLINE void clear(VecF (&acc)[kRows][kVectors]) {
#pragma GCC unroll 32
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) acc[r][v] = zero_f();
}

/// To panels `panel_stride` floats apart.
template <int kRows, int kVectors>
RIDGELINE_INLINE void store_panels(const VecF (&acc)[kRows][kVectors], float* out,
                                   std::ptrdiff_t panel_stride) {
#pragma GCC unroll 32
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      store(out + v / kVectorsPerPanel * panel_stride + r * kPanel + v % kVectorsPerPanel * kLanes,
            acc[r][v]);
}

/// What acc was, times alpha.
template <int kRows, int kVectors>
RIDGELINE_INLINE void load_rescaled(VecF (&acc)[kRows][kVectors], const WeighArgs& args) {
#pragma GCC unroll 32
  for (int r = 0; r < kRows; ++r) {
    const VecF alpha = splat(args.alpha[r]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      acc[r][v] = mul(alpha, load(args.acc + v / kVectorsPerPanel * args.panel_stride + r * kPanel +
                                  v % kVectorsPerPanel * kLanes));
  }
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
