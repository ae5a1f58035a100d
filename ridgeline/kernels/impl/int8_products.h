#pragma once

#include "ridgeline/kernels/formats/int8_row.h"
#include "ridgeline/kernels/impl/dot.h"
#include "ridgeline/kernels/impl/tile.h"

// 16-bit weights and activations both rounded to 8 bits by whole rows, and LLM.int8()
// (Dettmers et al. 2022, section 3), where features beyond the threshold are multiplied
// in the weights' own precision. Order: blocks of 256 along k, ascending, each an exact
// integer sum (below 2^24, so exact in F32 as well) that enters the element's chain in
// one multiply-add, followed by one for each outlier of the block, ascending. Outliers
// are those of the row itself; a row's result does not depend on its neighbours.

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// sums = Σ level·q - 128 Σ q over a block of which `groups32` times 32 elements exist.
template <class F, int kRows>
RIDGELINE_INLINE void sum_int8_block(const std::byte* levels, const std::byte* x, int groups32,
                                     VecI (&out)[kRows][kVecs], Prefetch& ahead) {
  using Dot = Sum<F::kMaxLevel>;
  Dot sums[kRows][kVecs];
  RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r) RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v)
      sums[r][v]
          .sum = Dot::kWithoutZero ? zero_i() : broadcast_i(x + (kInt8Correction * kRows + r) * 4);
  RIDGELINE_LOOP for (int s = 0; s < groups32; ++s) {
    ahead.step<8 * kGroupBytes>();
    unroll<0, 8>([&](auto g) RIDGELINE_BODY {
      typename Dot::Operand w[kVecs];
      RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v) w[v] =
          Dot::operand(load_i(levels + g * kGroupBytes + v * kVecBytes));
      RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r) {
        const Four q = four(x + (g * kRows + r) * 4);
        // Step 0 would forget what the sum began with.
        RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v) sums[r][v].template step<1>(w[v], q);
      }
    });
    levels += 8 * kGroupBytes;
    x += 8 * kRows * 4;
  }
  RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r) RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v)
      out[r][v] = sums[r][v].sum;
}

/// A row's outliers in one block.
struct Outliers {
  const float* values;
  const std::uint8_t* places;  ///< within the block
  std::uint32_t count;
};
template <int kRows>
RIDGELINE_INLINE Outliers outliers_of(const std::byte* tile, const std::byte* x, std::int64_t k,
                                      int r) {
  std::uint32_t first, count;
  std::memcpy(&first, x + (kInt8FirstOutlier * kRows + r) * 4, 4);
  std::memcpy(&count, x + (kInt8Outliers * kRows + r) * 4, 4);
  const std::byte* lists = tile + kRows * int8_blocks_bytes(true, k);
  const auto capacity = int8_outliers_max(k);
  const auto row = static_cast<std::size_t>(r);
  return {
      floats(lists) + row * capacity + first,
      reinterpret_cast<const std::uint8_t*>(lists + kRows * capacity * 4) + row * capacity + first,
      count};
}

/// Has the block's columns of 16-bit weights on their way while the integers are summed.
template <class F, int kRows>
RIDGELINE_INLINE void fetch_outliers(const std::byte* columns, const std::byte* tile,
                                     const std::byte* x, std::int64_t k) {
  RIDGELINE_LOOP for (int r = 0; r < kRows; ++r) {
    const Outliers o = outliers_of<kRows>(tile, x, k, r);
    for (std::uint32_t i = 0; i < o.count; ++i)
      __builtin_prefetch(columns + o.places[i] * F::kColumnBytes);
  }
}
template <class F, int kRows>
RIDGELINE_INLINE void add_outliers(const std::byte* columns, const std::byte* tile,
                                   const std::byte* x, std::int64_t k, Accumulators<kRows>& c) {
  RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r) {
    const Outliers o = outliers_of<kRows>(tile, x, k, r);
    VecF sum[kVecs];
    RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v) sum[v] = c.get(r, v);
    RIDGELINE_LOOP for (std::uint32_t i = 0; i < o.count; ++i) {
      const std::byte* column = columns + o.places[i] * F::kColumnBytes;
      const VecF value = splat(o.values[i]);
      RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v) sum[v] =
          fma(F::weight(column, v), value, sum[v]);
    }
    RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v) c.set(r, v, sum[v]);
  }
}

template <class F, int kRows, bool kWithOutliers>
void tile_int8(const std::byte* panel, const std::byte* tile, std::int64_t k, std::int64_t k_begin,
               std::int64_t k_end, float* acc, std::ptrdiff_t acc_stride, bool resume,
               const std::byte* prefetch) {
  Accumulators<kRows> c(acc, acc_stride, resume);
  const std::byte* next = prefetch;
  const std::byte* x = tile + kRows * (4 + static_cast<std::size_t>(k_begin / kInt8Block) *
                                               int8_block_bytes(kWithOutliers));
  const std::byte* columns = panel + F::columns_at(k);
  for (std::int64_t begin = k_begin; begin < k_end; begin += kInt8Block) {
    // Behind this panel's levels come the next panel's, not this one's columns.
    if (next >= columns && next < panel + F::panel_bytes(k))
      next += F::panel_bytes(k) - F::columns_at(k);
    Prefetch ahead{next};
    const std::byte* block_columns = columns + static_cast<std::size_t>(begin) * F::kColumnBytes;
    if constexpr (kWithOutliers) fetch_outliers<F, kRows>(block_columns, tile, x, k);
    const std::int64_t rest = k_end - begin < kInt8Block ? k_end - begin : kInt8Block;
    VecI sums[kRows][kVecs];
    sum_int8_block<F, kRows>(panel + F::levels_at(begin), x, static_cast<int>((rest + 31) / 32),
                             sums, ahead);
    RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v) {
      const VecF weight_scale = load(floats(panel) + v * kLanes);
      RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r) {
        const VecF scale = mul(weight_scale, broadcast_f(tile + r * 4));
        c.set(r, v, fma(to_float(sums[r][v]), scale, c.get(r, v)));
      }
    }
    if constexpr (kWithOutliers) add_outliers<F, kRows>(block_columns, tile, x, k, c);
    next = ahead.next;
    x += kRows * int8_block_bytes(kWithOutliers);
  }
  c.finish(acc, acc_stride);
}

template <class F, int kRows>
struct Int8Kernel {
  static constexpr ActivationFormat kActivation = ActivationFormat::kInt8Row;
  static constexpr TileKernel run = tile_int8<F, kRows, false>;
};
template <class F, int kRows>
struct LlmInt8Kernel {
  static constexpr ActivationFormat kActivation = ActivationFormat::kInt8RowOutliers;
  static constexpr TileKernel run = tile_int8<F, kRows, true>;
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
