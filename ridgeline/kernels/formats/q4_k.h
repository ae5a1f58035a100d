#pragma once

#include "ridgeline/kernels/impl/panel.h"
#include "ridgeline/quant/q4_k.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// The file's block transposed in units of four bytes, only d and dmin apart:
///
///   ┌──────────────┬──────────────┬──────────────┬──────────────┬─────────────────┐
///   │ d    │ dmin  │ scales[0..3] │ scales[4..7] │ scales[8..11]│ 32 groups of qs │
///   └──────────────┴──────────────┴──────────────┴──────────────┴─────────────────┘
///    16 F16  16 F16   64 bytes       64 bytes       64 bytes       2,048 bytes
///
/// Sub-block s (32 elements) is nibble s % 2 of groups 8 (s / 2) .. + 7.
struct Q4_K {
  static constexpr DType kDType = DType::kQ4_K;
  static constexpr int kMaxLevel = 15;
  static constexpr int kElements = 256;
  static constexpr int kSubElements = 32;
  static constexpr bool kHasMins = true;
  using File = BlockQ4_K;
  static constexpr std::size_t kBlockBytes = 36 * kGroupBytes;
  static constexpr std::size_t kScalesAt = kGroupBytes;
  static constexpr std::size_t kLevelsAt = 4 * kGroupBytes;
  static_assert(kBlockBytes == sizeof(File) * kPanelWidth);

  static void pack_block(Rows blocks, std::byte* to) {
    transpose<std::uint16_t>(blocks, 2, to);
    transpose<std::uint32_t>(blocks.at(offsetof(File, scales)), 35, to + kScalesAt);
  }
  /// Two sub-blocks that share their groups.
  static constexpr int kChunkElements = 64;
  struct Chunk {
    const std::byte* levels;
  };
  static RIDGELINE_INLINE Chunk chunk(const std::byte* block, int c) {
    return {reload(block + kLevelsAt + static_cast<std::size_t>(c) * 8 * kGroupBytes)};
  }
  /// k-group g (0..15) of the chunk.
  template <int g>
  static RIDGELINE_INLINE VecI levels(Chunk chunk, int v) {
    const VecI raw = load_i(chunk.levels + g % 8 * kGroupBytes + v * kVecBytes);
    return bit_and(g < 8 ? raw : shift_right<4>(raw), splat_i(0x0f0f0f0f));
  }
  static RIDGELINE_INLINE VecF d(const std::byte* block, int v) {
    return load_f16(block + v * (kVecBytes / 2));
  }
  static RIDGELINE_INLINE VecF dmin(const std::byte* block, int v) {
    return load_f16(block + 32 + v * (kVecBytes / 2));
  }
  /// Scales of sub-blocks 4 q .. 4 q + 3, a byte each; see quant/k_affine.h for the bits.
  template <int q>
  static RIDGELINE_INLINE VecI scale_bytes(const std::byte* block, int v) {
    const VecI first = load_i(block + kScalesAt + v * kVecBytes);
    if constexpr (q == 0) return bit_and(first, splat_i(0x3f3f3f3f));
    const VecI third = load_i(block + kScalesAt + 2 * kGroupBytes + v * kVecBytes);
    return bit_or(bit_and(third, splat_i(0x0f0f0f0f)),
                  bit_and(shift_right<2>(first), splat_i(0x30303030)));
  }
  template <int q>
  static RIDGELINE_INLINE VecI min_bytes(const std::byte* block, int v) {
    const VecI second = load_i(block + kScalesAt + kGroupBytes + v * kVecBytes);
    if constexpr (q == 0) return bit_and(second, splat_i(0x3f3f3f3f));
    const VecI third = load_i(block + kScalesAt + 2 * kGroupBytes + v * kVecBytes);
    return bit_or(bit_and(shift_right<4>(third), splat_i(0x0f0f0f0f)),
                  bit_and(shift_right<2>(second), splat_i(0x30303030)));
  }
  static RIDGELINE_INLINE void unpack_scales(const std::byte* block,
                                             std::int32_t (*out)[kPanelWidth]) {
    RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v) {
      store_bytes(scale_bytes<0>(block, v), out, v);
      store_bytes(scale_bytes<1>(block, v), out + 4, v);
    }
  }
  static RIDGELINE_INLINE void unpack_mins(const std::byte* block,
                                           std::int32_t (*out)[kPanelWidth]) {
    for (int v = 0; v < kVecs; ++v) {
      store_bytes(min_bytes<0>(block, v), out, v);
      store_bytes(min_bytes<1>(block, v), out + 4, v);
    }
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
