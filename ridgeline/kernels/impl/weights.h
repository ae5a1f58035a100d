#pragma once

#include "ridgeline/kernels/impl/isa_entry.h"
#include "ridgeline/kernels/impl/panel.h"
#include "ridgeline/kernels/impl/tile.h"

// From the file's rows to a panel, and from a panel to floats, for any format.

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// kElements of a format: 1 for the float types, else those of the file's block.
template <class F>
inline constexpr bool kIsFloat = F::kElements == 1;
template <class F>
inline constexpr bool kHasSubBlocks = F::kElements == 256;
/// Each group of a row says which level stands for 0.
template <class F>
concept HasZeros = requires(typename F::Block block) {
  F::zero(block, 0);
};

template <class F>
std::size_t panel_bytes(std::int64_t k) {
  if constexpr (kHasSubBlocks<F>)
    return static_cast<std::size_t>(k / 256) * F::kBlockBytes;
  else
    return F::panel_bytes(k);
}

template <class F>
void pack_panel(const std::byte* data, std::size_t row_stride, int count, std::int64_t k,
                std::byte* panel) {
  Rows rows{data, row_stride, count};
  if constexpr (kIsFloat<F>) {
    F::pack(rows, k, panel);
    if (k % 32 == 0) return;
    const std::size_t pair_bytes = F::kBytesPer32 / 16;  // BF16 packs pairs
    const std::size_t used = static_cast<std::size_t>((k + 1) / 2) * pair_bytes;
    const std::size_t odd = F::kDType == DType::kBF16 ? 0 : static_cast<std::size_t>(k % 2);
    const std::size_t begin = used - odd * (pair_bytes / 2);
    std::memset(panel + begin, 0, F::panel_bytes(k) - begin);
  } else if constexpr (kHasSubBlocks<F>) {
    for (std::int64_t b = 0; b < k / 256; ++b) {
      F::pack_block(rows, panel);
      rows = rows.at(sizeof(typename F::File));
      panel += F::kBlockBytes;
    }
  } else if constexpr (HasZeros<F>) {
    F::pack(rows, k, panel);
  } else {
    const std::int64_t blocks = k / 32;
    for (std::int64_t b = 0; b < blocks; ++b) {
      F::pack_scales(rows, panel + F::scales_at(b));
      F::pack_values(rows, panel + F::values_at(b));
      rows = rows.at(sizeof(typename F::File));
    }
    if (blocks % F::kTogether == 0) return;
    const std::size_t scales = F::scales_at(blocks), values = F::values_at(blocks);
    std::memset(panel + scales, 0, F::values_at(blocks / F::kTogether * F::kTogether) - scales);
    std::memset(panel + values, 0, F::panel_bytes(k) - values);
  }
}

/// 32 elements of k of a panel as floats.
struct Expanded {
  alignas(64) float w[32][kPanelWidth];
};

/// One k-group as floats: (level - zero) · scale. Here and where there are minima, each
/// step is exact or rounds as the scalar decoder does.
RIDGELINE_INLINE void expand_group(VecI u, VecI zero, VecF scale, float (*out)[kPanelWidth],
                                   int v) {
  unroll<0, 4>([&](auto i) RIDGELINE_BODY {
    store(out[i] + v * kLanes, mul(to_float(sub(byte_of<i>(u), zero)), scale));
  });
}
/// The level that stands for 0 in a block of 32.
template <class F>
RIDGELINE_INLINE VecI zero_level(typename F::Block block, int v) {
  if constexpr (HasZeros<F>)
    return F::zero(block, v);
  else if constexpr (F::kHasMins)
    return zero_i();
  else
    return splat_i(1 << F::kZeroShift);
}

/// Elements 32 j .. 32 j + 31 of a chunk of a block with sub-blocks.
template <class F, int j>
RIDGELINE_INLINE void expand_of_chunk(const std::byte* block, int c, Expanded& to) {
  std::int32_t scales[16][kPanelWidth], mins[16][kPanelWidth];
  F::unpack_scales(block, scales);
  if constexpr (F::kHasMins) F::unpack_mins(block, mins);
  const typename F::Chunk chunk = F::chunk(block, c);
  unroll<0, 8>([&](auto i) RIDGELINE_BODY {
    constexpr int g = j * 8 + i;
    const int s = c * (F::kChunkElements / F::kSubElements) + g * 4 / F::kSubElements;
    for (int v = 0; v < kVecs; ++v) {
      const VecF scale = mul(F::d(block, v), to_float(load_i(&scales[s][v * kLanes])));
      const VecI u = F::template levels<g>(chunk, v);
      if constexpr (F::kHasMins) {
        const VecF min = mul(F::dmin(block, v), to_float(load_i(&mins[s][v * kLanes])));
        unroll<0, 4>([&](auto e) RIDGELINE_BODY {
          store(to.w[4 * i + e] + v * kLanes, sub(mul(to_float(byte_of<e>(u)), scale), min));
        });
      } else {
        expand_group(u, splat_i(F::kZero), scale, to.w + 4 * i, v);
      }
    }
  });
}

/// Elements 32 b .. 32 b + 31.
template <class F>
__attribute__((noinline)) void expand(const std::byte* panel, std::int64_t b, Expanded& to) {
  if constexpr (kIsFloat<F>) {
    const std::byte* block = panel + static_cast<std::size_t>(b) * F::kBytesPer32;
    for (std::size_t four = 0; four < 8; ++four)
      unroll<0, 4>([&](auto i) RIDGELINE_BODY {
        for (int v = 0; v < kVecs; ++v)
          store(to.w[4 * four + i] + v * kLanes, F::template weight<i>(block, four, v));
      });
  } else if constexpr (kHasSubBlocks<F>) {
    const std::byte* block = panel + static_cast<std::size_t>(b / 8) * F::kBlockBytes;
    constexpr int kPerChunk = F::kChunkElements / 32;
    const int sub = static_cast<int>(b % 8);
    unroll<0, kPerChunk>([&](auto j) RIDGELINE_BODY {
      if (sub % kPerChunk == j) expand_of_chunk<F, j>(block, sub / kPerChunk, to);
    });
  } else {
    const typename F::Block block = F::at(panel, b);
    RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v) {
      const VecF scale = F::scale(block, v);
      const VecI zero = zero_level<F>(block, v);
      unroll<0, 8>([&](auto g) RIDGELINE_BODY {
        const VecI u = F::template levels<g>(block.values, v);
        if constexpr (F::kHasMins) {
          unroll<0, 4>([&](auto e) RIDGELINE_BODY {
            store(to.w[4 * g + e] + v * kLanes,
                  add(mul(to_float(byte_of<e>(u)), scale), F::offset(block, v)));
          });
        } else {
          expand_group(u, zero, scale, to.w + 4 * g, v);
        }
      });
    }
  }
}

template <class F>
void decode_row(const std::byte* panel, int row, std::int64_t k, float* out) {
  Expanded block;
  for (std::int64_t begin = 0; begin < k; begin += 32) {
    expand<F>(panel, begin / 32, block);
    const std::int64_t count = k - begin < 32 ? k - begin : 32;
    for (std::int64_t i = 0; i < count; ++i) out[begin + i] = block.w[i][row];
  }
}

/// What is done with panels but multiplying.
struct PanelFunctions {
  decltype(WeightKernel::panel_bytes) bytes, read_bytes;
  decltype(WeightKernel::pack_panel) pack;
  decltype(WeightKernel::decode_row) decode_row;
};
template <class F>
inline constexpr PanelFunctions kBlockPanels{panel_bytes<F>, panel_bytes<F>, pack_panel<F>,
                                             decode_row<F>};

/// An entry of the table; Kernel<F, rows>::run for 1..kInterleave rows.
template <class F, template <class, int> class Kernel>
constexpr WeightKernel weight_kernel(int k_step, int prefetch_rows,
                                     PanelFunctions panels = kBlockPanels<F>) {
  static_assert(kMaxTileRows == 8);
  return {F::kDType,
          Kernel<F, 1>::kActivation,
          k_step,
          prefetch_rows,
          panels.bytes,
          panels.read_bytes,
          panels.pack,
          panels.decode_row,
          {nullptr, tile_kernel<Kernel, F, 1>(), tile_kernel<Kernel, F, 2>(),
           tile_kernel<Kernel, F, 3>(), tile_kernel<Kernel, F, 4>(), tile_kernel<Kernel, F, 5>(),
           tile_kernel<Kernel, F, 6>(), tile_kernel<Kernel, F, 7>(), tile_kernel<Kernel, F, 8>()}};
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
