#pragma once

#include "ridgeline/kernels/impl/attention_span.h"
#include "ridgeline/kernels/impl/dot.h"

// The two products of attention against a Q8_0 cache as byte dot products, whose sums are
// exact integers: K and V are read as they lie, and an instruction does four terms where
// floats take four and their conversion.
//
// The other operand, q or p, is rounded to 16 bits against the greatest of the terms that it
// is summed with, and split into a high and a low byte:
//
//   x = scale (256 high + low),   |256 high + low| <= 127 * 256
//
//   scores   q of a row over 32 d, which K's scale covers; once per tile
//   values   p of a row over a chunk, for every 32 d: each times V's scale of its token first,
//            so that what is left of V are integers; once per chunk
//
// The sum over high bytes is shifted by 8 before low bytes are added to it. Levels of the
// cache are unsigned, 128 too large: -128 times the sum of x comes last. 32 products of q, or
// 64 of p, with levels up to 255 stay below 2^30.

namespace ridgeline::RIDGELINE_ISA {
namespace {

using Q8 = KvRows<DType::kQ8_0>;

inline constexpr float kRoundedTop = 127 * 256;
inline constexpr int kRoundedBytes = 2;  ///< high and low
inline constexpr int kPanelsPerScale = Q8::kScaleDims / kPanel;
constexpr int scales_of(int padded_dim) {
  return (padded_dim + Q8::kScaleDims - 1) / Q8::kScaleDims;
}

/// q or p of a tile in 16 bits.
struct Rounded {
  std::byte* levels;         ///< q: [32 d][high, low][4 d][row][4]; p: [32 d][high, low][row][64]
  float* scale;              ///< [32 d][row]
  std::int32_t* correction;  ///< [32 d][row]
};
constexpr int rounded_floats(int scales, int rows, int terms) {
  return scales * rows * (kRoundedBytes * terms / 4 + 2);
}
RIDGELINE_INLINE Rounded carve_rounded(float* scratch, int scales, int rows, int terms) {
  float* const scale = scratch + scales * rows * kRoundedBytes * terms / 4;
  return {reinterpret_cast<std::byte*>(scratch), scale,
          reinterpret_cast<std::int32_t*>(scale + scales * rows)};
}
inline Rounded rounded_q(const TileState& tile, int padded_dim) {
  return carve_rounded(tile.extra, scales_of(padded_dim), tile.tile_rows, Q8::kScaleDims);
}
inline Rounded rounded_p(const TileState& tile, int padded_dim) {
  return carve_rounded(tile.extra_p, scales_of(padded_dim), tile.tile_rows, kAttentionChunk);
}

/// The terms of one sum. `high` and `low` take a byte each.
template <int kVectors>
RIDGELINE_INLINE void round_terms(const VecF (&x)[kVectors], std::byte* high, std::byte* low,
                                  float& scale, std::int32_t& correction) {
  VecI greatest = bits(abs(x[0]));  // as integers, in which NaN is above all
#pragma GCC unroll 8
  for (int v = 1; v < kVectors; ++v) greatest = max(greatest, bits(abs(x[v])));
  const std::int32_t greatest_bits = reduce_max(greatest);
  float most;
  __builtin_memcpy(&most, &greatest_bits, sizeof most);
  const float inverse = kRoundedTop / most;
  // Where all are zero, or so small that they may as well be, a sum of -0 leaves what it is
  // added to as it was.
  const bool none = inverse == __builtin_inff();
  scale = none ? -0.0f : most / kRoundedTop;
  const VecF factor = splat(none ? 0.0f : inverse);
  VecI sum = zero_i();
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) {
    const VecI level = to_int(mul(x[v], factor));
    sum = add(sum, level);
    store_low_bytes(low + v * kLanes, level);
    store_low_bytes(high + v * kLanes, shift_right_signed<8>(add(level, splat_i(128))));
  }
  correction = static_cast<std::int32_t>(static_cast<std::uint32_t>(reduce_add(sum)) * 0xffffff80u);
}

inline void round_q(const TileState& tile, int padded_dim) {
  const Rounded q = rounded_q(tile, padded_dim);
  const int rows = tile.tile_rows;
  for (int s = 0; s < scales_of(padded_dim); ++s) {
    for (int r = 0; r < rows; ++r) {
      VecF x[Q8::kScaleDims / kLanes];
      for (int v = 0; v < Q8::kScaleDims / kLanes; ++v) {
        const int d = s * Q8::kScaleDims + v * kLanes;
        x[v] = d < padded_dim ? load(tile.q + (d / kPanel * rows + r) * kPanel + d % kPanel)
                              : zero_f();
      }
      std::byte bytes[kRoundedBytes * Q8::kScaleDims];
      const int at = s * rows + r;
      round_terms(x, bytes, bytes + Q8::kScaleDims, q.scale[at], q.correction[at]);
      std::byte* out = q.levels + (s * rows * kRoundedBytes * Q8::kScaleDims + r * Q8::kDot);
      for (int i = 0; i < kRoundedBytes * Q8::kScaleDims; i += Q8::kDot, out += rows * Q8::kDot)
        __builtin_memcpy(out, bytes + i, Q8::kDot);
    }
  }
}

template <Seen seen>
__attribute__((noinline)) void round_p(const TileState& tile, const ChunkValues& v) {
  const Rounded p = rounded_p(tile, v.panels * kPanel);
  for (int s = 0; s < scales_of(v.panels * kPanel); ++s) {
    VecF scale[kVectorsPerChunk];
#pragma GCC unroll 8
    for (int i = 0; i < kVectorsPerChunk; ++i)
      scale[i] = load_f16(v.blocks.now[i / kVectorsPerPanel] + s * Q8::kScaleRowBytes +
                          i % kVectorsPerPanel * kLanes * Q8::kScaleBytes);
    for (int r = 0; r < tile.tile_rows; ++r) {
      VecF x[kVectorsPerChunk];
#pragma GCC unroll 8
      for (int i = 0; i < kVectorsPerChunk; ++i) {
        x[i] = mul(load(score_vector(tile, r, i)), scale[i]);
        // A token that the row does not see may have any scale.
        if constexpr (seen != Seen::kAll)
          x[i] = select(first_lanes(tile.visible[r] - i * kLanes), x[i], zero_f());
        if constexpr (seen == Seen::kBetween)
          x[i] = select(first_lanes(tile.hidden[r] - i * kLanes), zero_f(), x[i]);
      }
      std::byte* high = p.levels + (s * kRoundedBytes * tile.tile_rows + r) * kAttentionChunk;
      const int at = s * tile.tile_rows + r;
      round_terms(x, high, high + tile.tile_rows * kAttentionChunk, p.scale[at], p.correction[at]);
    }
  }
}

template <int kRows, int kVectors>
RIDGELINE_INLINE void clear(VecI (&acc)[kRows][kVectors]) {
#pragma GCC unroll 32
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) acc[r][v] = zero_i();
}
template <int kRows, int kVectors>
RIDGELINE_INLINE void shift_byte(VecI (&acc)[kRows][kVectors]) {
#pragma GCC unroll 32
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) acc[r][v] = shift_left<8>(acc[r][v]);
}

/// Scores of kRows rows against the tokens of kPanels blocks, from `block` on.
template <int kRows, int kPanels>
__attribute__((noinline)) void score_dots(const Rounded& q, int padded_dim, const ChunkBlocks& k,
                                          int block, float* scores) {
  constexpr int kVectors = kPanels * kVectorsPerPanel;
  const std::byte* now[kPanels];
  const std::byte* next[kPanels];
#pragma GCC unroll 4
  for (int b = 0; b < kPanels; ++b) {
    now[b] = k.now[block + b];
    next[b] = k.next[block + b];
  }
  scores += block * kRows * kPanel;
  std::ptrdiff_t levels = Q8::scale_bytes(padded_dim);
  const std::byte* x = q.levels;
  for (int d = 0, s = 0; d < padded_dim; d += Q8::kScaleDims, ++s) {
    const int dims = padded_dim - d < Q8::kScaleDims ? padded_dim - d : Q8::kScaleDims;
    const std::ptrdiff_t end = levels + dims / Q8::kDot * Q8::kLineBytes;
    VecI acc[kRows][kVectors];
    clear(acc);
    const auto add_lines = [&](bool prefetch) __attribute__((always_inline)) {
      const std::byte* row = x;
#pragma GCC unroll 1
      for (std::ptrdiff_t line = levels; line < end; line += Q8::kLineBytes) {
#pragma GCC unroll 4
        for (int b = 0; b < kPanels; ++b)
          if (prefetch) prefetch_lines<Q8::kLineBytes>(next[b] + line);
        VecI u[kVectors];
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v)
          u[v] =
              load_i(now[v / kVectorsPerPanel] + line + v % kVectorsPerPanel * kLanes * Q8::kDot);
#pragma GCC unroll 32
        for (int r = 0; r < kRows; ++r, row += Q8::kDot)
#pragma GCC unroll 8
          for (int v = 0; v < kVectors; ++v) acc[r][v] = dot4(acc[r][v], u[v], four(row));
      }
      x += kRows * Q8::kScaleDims;
    };
    add_lines(true);
    shift_byte(acc);
    add_lines(false);

    const std::ptrdiff_t scales = s * Q8::kScaleRowBytes;
    VecF scale[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      scale[v] = load_f16(now[v / kVectorsPerPanel] + scales +
                          v % kVectorsPerPanel * kLanes * Q8::kScaleBytes);
#pragma GCC unroll 4
    for (int b = 0; b < kPanels; ++b) prefetch_lines<Q8::kLineBytes>(next[b] + scales);
#pragma GCC unroll 32
    for (int r = 0; r < kRows; ++r) {
      const VecI correction = splat_i(q.correction[s * kRows + r]);
      const VecF row_scale = splat(q.scale[s * kRows + r]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        float* out =
            scores + (v / kVectorsPerPanel * kRows + r) * kPanel + v % kVectorsPerPanel * kLanes;
        const VecF sum = to_float(add(acc[r][v], correction));
        const VecF factor = mul(row_scale, scale[v]);
        store(out, s == 0 ? mul(sum, factor) : fma(sum, factor, load(out)));
      }
    }
    levels = end;
  }
}

struct WeighDots {
  float* acc;
  const float* alpha;  ///< [row]
  const ChunkBlocks* v;
  int v_panels, first_panel;  ///< of d
  Rounded p;
};

/// acc = alpha acc + p V over a chunk, for kRows rows, which are all of the tile, and kPanels
/// panels of d.
template <int kRows, int kPanels>
__attribute__((noinline)) void weigh_dots(const WeighDots& args) {
  constexpr int kVectors = kPanels * kVectorsPerPanel;
  constexpr int kByteStride = kRows * kAttentionChunk;  // from high to low
  const int padded_dim = args.v_panels * kPanel;
  const std::ptrdiff_t group_bytes = padded_dim * Q8::kDot;
  const int first_scale = args.first_panel / kPanelsPerScale;
  const std::ptrdiff_t scales = first_scale * Q8::kScaleRowBytes;
  const std::ptrdiff_t levels = Q8::scale_bytes(padded_dim) + args.first_panel * kPanel * Q8::kDot;
  const std::byte* x = args.p.levels + first_scale * kRoundedBytes * kByteStride;
  VecI acc[kRows][kVectors];
  clear(acc);
  const auto add_lines = [&](bool prefetch) __attribute__((always_inline)) {
    const std::byte* group_x = x;
    for (int block = 0; block < kChunkBlocks; ++block) {
      const std::byte* now = args.v->now[block] + levels;
      const std::byte* next = args.v->next[block];
      if (prefetch) prefetch_lines<Q8::kLineBytes>(next + scales);
      next += levels;
#pragma GCC unroll 1
      for (int t = 0; t < kKvBlockTokens; t += Q8::kDot, group_x += Q8::kDot) {
        if (prefetch) prefetch_lines<kPanels * kPanel * Q8::kDot>(next);
        VecI u[kVectors];
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) u[v] = load_i(now + v * kLanes * Q8::kDot);
#pragma GCC unroll 32
        for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
          for (int v = 0; v < kVectors; ++v) {
            const int s = v / kVectorsPerPanel / kPanelsPerScale;
            acc[r][v] = dot4(acc[r][v], u[v],
                             four(group_x + s * kRoundedBytes * kByteStride + r * kAttentionChunk));
          }
        now += group_bytes;
        next += group_bytes;
      }
    }
    x += kByteStride;
  };
  add_lines(true);
  shift_byte(acc);
  add_lines(false);

#pragma GCC unroll 32
  for (int r = 0; r < kRows; ++r) {
    const VecF alpha = splat(args.alpha[r]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const int at = (first_scale + v / kVectorsPerPanel / kPanelsPerScale) * kRows + r;
      float* out =
          args.acc + (v / kVectorsPerPanel * kRows + r) * kPanel + v % kVectorsPerPanel * kLanes;
      const VecF sum = to_float(add(acc[r][v], splat_i(args.p.correction[at])));
      store(out, fma(sum, splat(args.p.scale[at]), mul(alpha, load(out))));
    }
  }
}

struct DotTiles {
  void (*score[kTileRows + 1])(const Rounded& q, int padded_dim, const ChunkBlocks& k, int block,
                               float* scores);
  void (*weigh[kTileRows + 1][3])(const WeighDots&);  ///< [rows][log2 of the panels of d]
};
template <int kRows = kTileRows>
constexpr void add_dot_tiles(DotTiles& tiles) {
  if constexpr (panels_of(kRows) > 0) {
    tiles.score[kRows] = score_dots<kRows, panels_of(kRows)>;
    tiles.weigh[kRows][0] = weigh_dots<kRows, 1>;
    if constexpr (panels_of(kRows) >= 2) tiles.weigh[kRows][1] = weigh_dots<kRows, 2>;
    if constexpr (panels_of(kRows) >= 4) tiles.weigh[kRows][2] = weigh_dots<kRows, 4>;
  }
  if constexpr (kRows > 1) add_dot_tiles<kRows - 1>(tiles);
}
constexpr DotTiles all_dot_tiles() {
  DotTiles tiles{};
  add_dot_tiles(tiles);
  return tiles;
}
inline constexpr DotTiles kDotTiles = all_dot_tiles();

/// For attend_span().
struct InBytes {
  using Rows = Q8;
  static constexpr int extra_floats(int padded_dim, int padded_value_dim) {
    return rounded_floats(scales_of(padded_dim), kTileRows, Q8::kScaleDims) +
           rounded_floats(scales_of(padded_value_dim), kTileRows, kAttentionChunk) + kScratchAlign;
  }
  static void prepare(TileState& tile, int padded_dim) {
    tile.extra_p =
        align(tile.extra + rounded_floats(scales_of(padded_dim), tile.tile_rows, Q8::kScaleDims));
    round_q(tile, padded_dim);
  }
  static void score(const TileState& tile, int padded_dim, const ChunkBlocks& k, int block) {
    kDotTiles.score[tile.tile_rows](rounded_q(tile, padded_dim), padded_dim, k, block, tile.scores);
  }
  static void add_values(const TileState& tile, const ChunkValues& v, Seen seen) {
    switch (seen) {
      case Seen::kAll:
        round_p<Seen::kAll>(tile, v);
        break;
      case Seen::kFirst:
        round_p<Seen::kFirst>(tile, v);
        break;
      case Seen::kBetween:
        round_p<Seen::kBetween>(tile, v);
        break;
    }
    const int most = panels_of(tile.tile_rows);
    for (int panel = 0; panel < v.panels;) {
      int log2_panels = 2;
      while ((1 << log2_panels) > most || panel + (1 << log2_panels) > v.panels) --log2_panels;
      const WeighDots args = {
          tile.acc + panel * tile.tile_rows * kPanel, tile.alpha, &v.blocks, v.panels, panel,
          rounded_p(tile, v.panels * kPanel)};
      kDotTiles.weigh[tile.tile_rows][log2_panels](args);
      panel += 1 << log2_panels;
    }
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
