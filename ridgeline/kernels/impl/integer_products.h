#pragma once

#include "ridgeline/kernels/impl/activations.h"
#include "ridgeline/kernels/impl/dot.h"
#include "ridgeline/kernels/impl/tile.h"
#include "ridgeline/kernels/impl/weights.h"

// Tiles of weights that are quantized in blocks with 8-bit activations: exact integer
// sums within a block, then one F32 multiply-add per block and element, in ascending
// order. The integers are exact and the order is k's, so a row's result has the same
// bits in a tile of any size and with any split of k.

namespace ridgeline::RIDGELINE_ISA {
namespace {

// --- 32 elements and a scale: acc += (Σ level·q - zero·Σ q) · weight scale · x scale,
// --- the zero the format's or the group's; or with an offset:
// --- acc += (Σ level·q · weight scale + offset · Σ q) · x scale ---

template <class F, int kRows>
RIDGELINE_INLINE void add_block32(typename F::Block block, const std::byte* x,
                                  Accumulators<kRows>& c) {
  using Dot = Sum<F::kMaxLevel>;
  Dot sums[kRows][kVecs];
  const auto negative_sum = [&](int r) RIDGELINE_BODY {
    return broadcast_i(x + (kQ8x32Dwords * kRows + r) * 4);
  };
  const auto first = [&](int r, int v) RIDGELINE_BODY {
    (void)v;
    if constexpr (F::kHasMins)
      return zero_i();
    else if constexpr (HasZeros<F>)  // |Σ q| fits 16 bits, and the zero's upper half is 0
      return add_pairs(zero_i(), F::zero(block, v), two(x + (kQ8x32Dwords * kRows + r) * 4));
    else
      return shift_left<F::kZeroShift>(negative_sum(r));
  };
  RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r) RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v)
      sums[r][v]
          .start(first(r, v));
  unroll<0, 8>([&](auto g) RIDGELINE_BODY {
    typename Dot::Operand w[kVecs];
    RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v) w[v] =
        Dot::operand(F::template levels<g>(block.values, v));
    RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r) {
      const Four q = four(x + (g * kRows + r) * 4);
      RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v) sums[r][v].template step<g>(w[v], q);
    }
  });
  RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v) {
    const VecF weight_scale = F::scale(block, v);
    RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r) {
      const VecF x_scale = broadcast_f(x + ((kQ8x32Dwords + 1) * kRows + r) * 4);
      const VecF sum = to_float(sums[r][v].template total<8>(first(r, v)));
      if constexpr (F::kHasMins) {
        const VecF value =
            fnma(to_float(negative_sum(r)), F::offset(block, v), mul(sum, weight_scale));
        c.set(r, v, fma(value, x_scale, c.get(r, v)));
      } else {
        c.set(r, v, fma(sum, mul(weight_scale, x_scale), c.get(r, v)));
      }
    }
  }
}

template <class F, int kRows>
void tile32(const std::byte* panel, const std::byte* tile, std::int64_t, std::int64_t k_begin,
            std::int64_t k_end, float* acc, std::ptrdiff_t acc_stride, bool resume,
            const std::byte* prefetch) {
  Accumulators<kRows> c(acc, acc_stride, resume);
  Prefetch ahead{prefetch};
  const std::byte* x = tile + static_cast<std::size_t>(k_begin / 32) * kRows * kQ8x32RowBytes;
  for (std::int64_t b = k_begin / 32; b < k_end / 32; ++b) {
    const typename F::Block block = F::at(panel, b);
    ahead.step<F::kBytesPer32>();
    add_block32<F, kRows>(block, x, c);
    x += kRows * kQ8x32RowBytes;
  }
  c.finish(acc, acc_stride);
}

// --- 256 elements, sub-blocks with integer scales: the sums of sub-blocks are scaled
// --- and added in integers, minima are multiplied with the activations' sums, and one
// --- F32 step ends the block: acc += (Σ scale·Σ level·q · d - Σ min·Σ q · dmin) · x scale.
// --- Where a level means 0, sums of 16 begin with what it adds; for sub-blocks of 32 it
// --- is zero·Σ scale·Σ q, subtracted at the end.

/// One vector per sub-block and panel vector, unpacked once for all rows.
struct SubBlockScales {
  alignas(64) std::int32_t lanes[16][kPanelWidth];
};

constexpr int log2_of(int n) { return n <= 1 ? 0 : 1 + log2_of(n / 2); }
/// A chunk has four sub-blocks, whose scales are the bytes of one group: they are taken
/// out where they are used. Others are unpacked once for a block.
template <class F>
inline constexpr bool kScalesOfChunk = F::kSubElements == 16;
template <class F>
inline constexpr bool kSumsBeginWithZero = !F::kHasMins && F::kSubElements == 16;
template <class F>
inline constexpr bool kSubtractsZero =
    !F::kHasMins && F::kSubElements == 32 && !Sum<F::kMaxLevel>::kWithoutZero;

/// scaled[r][v] = sum over the sub-blocks of chunk c of scale · Σ (level - zero) · q
template <class F, int kRows>
RIDGELINE_INLINE void add_chunk(const std::byte* block, int c, const SubBlockScales& scales,
                                const std::byte* x, VecI (&scaled)[kRows][kVecs], Prefetch& ahead) {
  using Dot = Sum<F::kMaxLevel>;
  constexpr int kGroups = F::kSubElements / 4;
  constexpr int kSubBlocks = F::kChunkElements / F::kSubElements;
  const std::byte* q = x + c * (F::kChunkElements * kRows);
  const std::byte* corrections = x + (kQ8x256Sums16 + c * kSubBlocks) * (4 * kRows);
  unroll<0, kSubBlocks>([&](auto s) RIDGELINE_BODY {
    const typename F::Chunk chunk = F::chunk(block, c);
    ahead.step<F::kBlockBytes * F::kSubElements / 256>();
    Dot sums[kRows][kVecs];
    const auto first = [&](int r) RIDGELINE_BODY {
      if constexpr (!kSumsBeginWithZero<F>)
        return zero_i();
      else
        return shift_left<log2_of(F::kZero / kQ8x256Zero)>(
            broadcast_i(corrections + (s * kRows + r) * 4));
    };
    RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r)
        RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v) sums[r][v]
            .start(first(r));
    unroll<0, kGroups>([&](auto i) RIDGELINE_BODY {
      constexpr int g = s * kGroups + i;
      typename Dot::Operand w[kVecs];
      RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v) w[v] =
          Dot::operand(F::template levels<g>(chunk, v));
      RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r) {
        const Four four_q = four(q + (g * kRows + r) * 4);
        RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v) sums[r][v].template step<i>(w[v], four_q);
      }
    });
    RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v) {
      const VecI scale = [&]() RIDGELINE_BODY {
        if constexpr (kScalesOfChunk<F>)
          return F::template scale<s>(block, c, v);
        else
          return load_i(&scales.lanes[c * kSubBlocks + s][v * kLanes]);
      }();
      RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r) {
        scaled[r][v] = add(scaled[r][v], mul(sums[r][v].template total<kGroups>(first(r)), scale));
        compute_now(scaled[r][v]);
      }
    }
  });
}

/// What is multiplied with the activations' sums, as 16-bit pairs in their order: minima,
/// or scales where the level that means 0 is subtracted.
template <class F>
inline constexpr int kPairs = F::kSubElements == 16 ? 8 : 4;
template <class F>
RIDGELINE_INLINE void factor_pairs(const std::byte* block, const SubBlockScales& scales, int v,
                                   VecI (&pairs)[kPairs<F>]) {
  unroll<0, kPairs<F>>([&](auto i) RIDGELINE_BODY {
    if constexpr (F::kHasMins) {
      const VecI bytes = F::template min_bytes<i / 2>(block, v);
      pairs[i] = bit_and(i % 2 == 0 ? bytes : shift_right<8>(bytes), splat_i(0x00ff00ff));
    } else {
      const std::int32_t* low = scales.lanes[i / 2 * 4 + i % 2] + v * kLanes;
      pairs[i] = bit_or(bit_and(load_i(low), splat_i(0xffff)),
                        shift_left<16>(load_i(low + 2 * kPanelWidth)));
    }
  });
}

/// Σ factor·Σ q over the sub-blocks, for row r of x.
template <int kRows, int n>
RIDGELINE_INLINE VecI multiply_sums(const VecI (&pairs)[n], const std::byte* x, int r) {
  constexpr int kAt = n == 8 ? kQ8x256Pairs16 : kQ8x256Pairs32;
  VecI sum = zero_i();
  RIDGELINE_UNROLL for (int i = 0; i < n; ++i) sum =
      add_pairs(sum, pairs[i], two(x + ((kAt + i) * kRows + r) * 4));
  return sum;
}

template <class F, int kRows>
RIDGELINE_INLINE void add_block256(const std::byte* block, const SubBlockScales& scales,
                                   const std::byte* x, Accumulators<kRows>& c, Prefetch& ahead) {
  VecI scaled[kRows][kVecs];
  RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r) RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v)
      scaled[r][v] = zero_i();
  for (int i = 0; i < opaque(256 / F::kChunkElements); ++i)
    add_chunk<F, kRows>(block, i, scales, x, scaled, ahead);
  RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v) {
    const VecF d = F::d(block, v);
    VecI pairs[kPairs<F>];
    if constexpr (F::kHasMins || kSubtractsZero<F>) factor_pairs<F>(block, scales, v, pairs);
    RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r) {
      if constexpr (kSubtractsZero<F>)
        scaled[r][v] =
            sub(scaled[r][v], shift_left<log2_of(F::kZero)>(multiply_sums<kRows>(pairs, x, r)));
      VecF sum = mul(to_float(scaled[r][v]), d);
      if constexpr (F::kHasMins)
        sum = fnma(to_float(multiply_sums<kRows>(pairs, x, r)), F::dmin(block, v), sum);
      const VecF x_scale = broadcast_f(x + (kQ8x256Scale * kRows + r) * 4);
      c.set(r, v, fma(sum, x_scale, c.get(r, v)));
    }
  }
}

template <class F, int kRows>
void tile256(const std::byte* panel, const std::byte* tile, std::int64_t, std::int64_t k_begin,
             std::int64_t k_end, float* acc, std::ptrdiff_t acc_stride, bool resume,
             const std::byte* prefetch) {
  Accumulators<kRows> c(acc, acc_stride, resume);
  Prefetch ahead{prefetch};
  const std::byte* x = tile + static_cast<std::size_t>(k_begin / 256) * kRows * kQ8x256RowBytes;
  const std::byte* block = panel + static_cast<std::size_t>(k_begin / 256) * F::kBlockBytes;
  SubBlockScales scales;
  for (std::int64_t b = k_begin / 256; b < k_end / 256; ++b) {
    if constexpr (!kScalesOfChunk<F>) F::unpack_scales(block, scales.lanes);
    add_block256<F, kRows>(block, scales, x, c, ahead);
    block += F::kBlockBytes;
    x += kRows * kQ8x256RowBytes;
  }
  c.finish(acc, acc_stride);
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
