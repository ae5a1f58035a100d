#pragma once

#include "ridgeline/kernels/impl/attention_tile_q8.h"

// The tiles of F32, F16 and BF16, and choosing one.

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// Scores of kRows rows against the tokens of kPanels blocks, from `block` on.
template <class Kv, int kRows, int kPanels>
requires(!Kv::kQuantized)
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
  clear(acc);

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

  store_panels(acc, scores + block * kRows * kPanel, kRows * kPanel);
}

/// The tokens [token_begin, token_end) of a chunk, for kRows rows and kPanels panels of d.
template <class Kv, int kRows, int kPanels>
requires(!Kv::kQuantized) __attribute__((noinline)) void weigh_tile(const WeighArgs& args) {
  constexpr int kVectors = kPanels * kVectorsPerPanel;
  constexpr int kSegmentBytes = kPanels * kPanel * Kv::kBytes;
  // Copies, because the compiler must take it that storing acc changes args.
  constexpr int kPanelBytes = kPanel * Kv::kBytes;
  const std::ptrdiff_t row_bytes = args.v_panels * kPanelBytes, panel_stride = args.panel_stride;
  float* const acc_out = args.acc;
  VecF acc[kRows][kVectors];
  load_rescaled(acc, args);
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
    const std::ptrdiff_t offset = slot * row_bytes + args.first_panel * kPanelBytes;
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
  store_panels(acc, acc_out, panel_stride);
}

// --- choosing a tile ----------------------------------------------------------

using ScoreTile = void (*)(const float* q, int padded_dim, const ChunkBlocks& k, int block,
                           float* scores);
using WeighTile = void (*)(const WeighArgs&);

/// The tiles of one KV type by number of rows; null where there is none.
template <class Kv>
struct ScoreTiles {
  ScoreTile at[kTileRows + 1];
};
template <class Kv>
struct WeighTiles {
  WeighTile at[kTileRows + 1][3];  ///< [rows][log2 of the panels of d]
};

template <class Kv, int kRows = kTileRows>
constexpr void add_tiles(ScoreTiles<Kv>& tiles) {
  if constexpr (panels_of(kRows) > 0) tiles.at[kRows] = score_tile<Kv, kRows, panels_of(kRows)>;
  if constexpr (kRows > 1) add_tiles<Kv, kRows - 1>(tiles);
}
template <class Kv, int kRows = kTileRows>
constexpr void add_tiles(WeighTiles<Kv>& tiles) {
  if constexpr (panels_of(kRows) > 0) {
    tiles.at[kRows][0] = weigh_tile<Kv, kRows, 1>;
    if constexpr (panels_of(kRows) >= 2) tiles.at[kRows][1] = weigh_tile<Kv, kRows, 2>;
    if constexpr (panels_of(kRows) >= 4) tiles.at[kRows][2] = weigh_tile<Kv, kRows, 4>;
  }
  if constexpr (kRows > 1) add_tiles<Kv, kRows - 1>(tiles);
}

template <class Tiles>
constexpr Tiles all_tiles() {
  Tiles tiles{};
  add_tiles(tiles);
  return tiles;
}
template <class Kv>
inline constexpr auto kScoreTiles = all_tiles<ScoreTiles<Kv>>();
template <class Kv>
inline constexpr auto kWeighTiles = all_tiles<WeighTiles<Kv>>();

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
