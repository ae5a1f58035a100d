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

/// Scores of kRows rows against the tokens of kPanels blocks, from `block` on.
template <class Kv, int kRows, int kPanels>
__attribute__((noinline)) void score_tile(const float* q, int padded_dim, const ChunkBlocks& k,
                                          int block, float* scores) {
  constexpr int kVectors = kPanels * kVectorsPerPanel;
  constexpr std::ptrdiff_t kPairBytes = 2 * kKvBlockTokens * Kv::kBytes;
  constexpr std::ptrdiff_t kVectorBytes = kLanes * Kv::kTokenBytes;
  const std::byte* now[kPanels];
  const std::byte* next[kPanels];
#pragma GCC unroll 4
  for (int b = 0; b < kPanels; ++b) {
    now[b] = k.now[block + b];
    next[b] = k.next[block + b];
  }
  VecF acc[kRows][kVectors];
#pragma GCC unroll 32
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) acc[r][v] = zero_f();

  const std::ptrdiff_t end = padded_dim / 2 * kPairBytes;
  for (std::ptrdiff_t offset = 0; offset < end; q += (kRows - 1) * kPanel) {
#pragma GCC unroll 2
    for (int i = 0; i < kPanel; i += 2, offset += kPairBytes, q += 2) {
#pragma GCC unroll 4
      for (int b = 0; b < kPanels; ++b) prefetch_lines<kPairBytes>(next[b] + offset);
      rank_one_update(
          acc, q, [&](int v) __attribute__((always_inline)) {
            return Kv::template k_row<0>(now[v / kVectorsPerPanel] + offset +
                                         v % kVectorsPerPanel * kVectorBytes);
          });
      rank_one_update(
          acc, q + 1, [&](int v) __attribute__((always_inline)) {
            return Kv::template k_row<1>(now[v / kVectorsPerPanel] + offset +
                                         v % kVectorsPerPanel * kVectorBytes);
          });
    }
  }

  scores += block * kRows * kPanel;
#pragma GCC unroll 32
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      store(scores + (v / kVectorsPerPanel * kRows + r) * kPanel + v % kVectorsPerPanel * kLanes,
            acc[r][v]);
}

/// What the second product needs; the pointers are at the first row of the tile.
struct WeighArgs {
  float* acc;                   ///< at the first panel of d
  const float* alpha;           ///< [rows]
  const float* p;               ///< at the chunk's first token
  std::ptrdiff_t panel_stride;  ///< floats from panel to panel, of acc and of p
  const ChunkBlocks* v;
  std::ptrdiff_t v_row_bytes;
  std::ptrdiff_t v_offset_bytes;  ///< of the first panel of d in a row
  int token_begin, token_end;     ///< in the chunk
};

/// The tokens [token_begin, token_end) of a chunk, for kRows rows and kPanels panels of d.
template <class Kv, int kRows, int kPanels>
__attribute__((noinline)) void weigh_tile(const WeighArgs& args) {
  constexpr int kVectors = kPanels * kVectorsPerPanel;
  constexpr int kSegmentBytes = kPanels * kPanel * Kv::kBytes;
  // Copies, because the compiler must take it that storing acc changes args.
  const std::ptrdiff_t row_bytes = args.v_row_bytes, panel_stride = args.panel_stride;
  float* const acc_out = args.acc;
  VecF acc[kRows][kVectors];
#pragma GCC unroll 32
  for (int r = 0; r < kRows; ++r) {
    const VecF alpha = splat(args.alpha[r]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      acc[r][v] = mul(alpha, load(acc_out + v / kVectorsPerPanel * panel_stride + r * kPanel +
                                  v % kVectorsPerPanel * kLanes));
  }
  const auto token = [&](const float* p, const std::byte* row) __attribute__((always_inline)) {
    rank_one_update(
        acc, p, [&](int v) __attribute__((always_inline)) {
          return Kv::v_row(row + v * kLanes * Kv::kBytes);
        });
  };
  for (int t = args.token_begin; t < args.token_end;) {
    const int block = t / kKvBlockTokens, slot = t % kKvBlockTokens;
    const int block_end = (block + 1) * kKvBlockTokens;
    int count = (args.token_end < block_end ? args.token_end : block_end) - t;
    t += count;
    const float* p = args.p + block * panel_stride + slot;
    const std::ptrdiff_t offset = slot * row_bytes + args.v_offset_bytes;
    const std::byte* row = args.v->now[block] + offset;
    const std::byte* next = args.v->next[block] + offset;
    for (; count >= 2; count -= 2, p += 2, row += 2 * row_bytes, next += 2 * row_bytes) {
      prefetch_lines<kSegmentBytes>(next);
      token(p, row);
      prefetch_lines<kSegmentBytes>(next + row_bytes);
      token(p + 1, row + row_bytes);
    }
    if (count > 0) token(p, row);
  }
#pragma GCC unroll 32
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      store(acc_out + v / kVectorsPerPanel * panel_stride + r * kPanel +
                v % kVectorsPerPanel * kLanes,
            acc[r][v]);
}

// --- choosing a tile ----------------------------------------------------------

using ScoreTile = void (*)(const float* q, int padded_dim, const ChunkBlocks& k, int block,
                           float* scores);
using WeighTile = void (*)(const WeighArgs&);

/// The tiles of one KV type by number of rows; null where there is none.
template <class Kv>
struct Tiles {
  ScoreTile score[kTileRows + 1];
  WeighTile weigh[kTileRows + 1][3];  ///< [rows][log2 of the panels of d]
};

template <class Kv, int kRows>
constexpr void add_tiles(Tiles<Kv>& tiles) {
  if constexpr (panels_of(kRows) > 0) {
    tiles.score[kRows] = score_tile<Kv, kRows, panels_of(kRows)>;
    tiles.weigh[kRows][0] = weigh_tile<Kv, kRows, 1>;
    if constexpr (panels_of(kRows) >= 2) tiles.weigh[kRows][1] = weigh_tile<Kv, kRows, 2>;
    if constexpr (panels_of(kRows) >= 4) tiles.weigh[kRows][2] = weigh_tile<Kv, kRows, 4>;
  }
  if constexpr (kRows > 1) add_tiles<Kv, kRows - 1>(tiles);
}

template <class Kv>
constexpr Tiles<Kv> make_tiles() {
  Tiles<Kv> tiles{};
  add_tiles<Kv, kTileRows>(tiles);
  return tiles;
}
template <class Kv>
inline constexpr Tiles<Kv> kTiles = make_tiles<Kv>();

/// Rows of the smallest tile that holds `rows`, and of the largest one within them.
constexpr int tile_holding(int rows) {
  while (panels_of(rows) == 0) ++rows;
  return rows;
}
constexpr int tile_within(int rows) {
  while (panels_of(rows) == 0) --rows;
  return rows;
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
