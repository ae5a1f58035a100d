#pragma once

#include "ridgeline/kernels/impl/panel.h"
#include "ridgeline/quant/q2_k.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// d, dmin and the bytes of scales and mins transposed, then a group for each sub-block;
/// 1,344 bytes, the file's size:
///
///   ┌─────────────────┬──────────────────────┬─────────┬─────────┬────────┐
///   │ d      │ dmin   │ 4 groups of scales   │ s = 0   │ s = 1   │ ... 15 │
///   └─────────────────┴──────────────────────┴─────────┴─────────┴────────┘
///    16 F16    16 F16   256 bytes              64 bytes  64 bytes
///
/// A byte of a sub-block's group has its four k-groups, the first in the lowest bits.
struct Q2_K {
  static constexpr DType kDType = DType::kQ2_K;
  static constexpr int kMaxLevel = 3;
  static constexpr int kElements = 256;
  static constexpr int kSubElements = 16;
  static constexpr bool kHasMins = true;
  using File = BlockQ2_K;
  static constexpr std::size_t kScalesAt = kGroupBytes;
  static constexpr std::size_t kLevelsAt = 5 * kGroupBytes;
  static constexpr std::size_t kBlockBytes = 21 * kGroupBytes;
  static_assert(kBlockBytes == sizeof(File) * kPanelWidth);

  static void pack_block(Rows blocks, std::byte* to) {
    transpose<std::uint16_t>(blocks.at(offsetof(File, d)), 2, to);
    transpose<std::uint32_t>(blocks.at(offsetof(File, scales)), 4, to + kScalesAt);
    std::uint32_t lane[16][kPanelWidth] = {};  // of each sub-block
    for (int r = 0; r < blocks.count; ++r) {
      File block;
      std::memcpy(&block, blocks.row(r), sizeof block);
      std::uint8_t levels[kElements];
      unpack_q2_k_levels(block, levels);
      std::uint32_t q[64];
      std::memcpy(q, levels, sizeof q);
      for (int s = 0; s < 16; ++s)
        lane[s][r] = q[4 * s] | q[4 * s + 1] << 2 | q[4 * s + 2] << 4 | q[4 * s + 3] << 6;
    }
    std::memcpy(to + kLevelsAt, lane, sizeof lane);
  }

  /// Four sub-blocks.
  static constexpr int kChunkElements = 64;
  struct Chunk {
    const std::byte* levels;
  };
  static RIDGELINE_INLINE Chunk chunk(const std::byte* block, int c) {
    return {reload(block + kLevelsAt + static_cast<std::size_t>(c) * 4 * kGroupBytes)};
  }
  /// k-group g (0..15) of the chunk.
  template <int g>
  static RIDGELINE_INLINE VecI levels(Chunk chunk, int v) {
    const VecI raw = load_i(chunk.levels + g / 4 * kGroupBytes + v * kVecBytes);
    return bit_and(g % 4 == 0 ? raw : shift_right<g % 4 * 2>(raw), splat_i(0x03030303));
  }
  static RIDGELINE_INLINE VecF d(const std::byte* block, int v) {
    return load_f16(block + v * (kVecBytes / 2));
  }
  static RIDGELINE_INLINE VecF dmin(const std::byte* block, int v) {
    return load_f16(block + 32 + v * (kVecBytes / 2));
  }
  /// Scales of sub-blocks 4 q .. 4 q + 3, a byte each.
  template <int q>
  static RIDGELINE_INLINE VecI scale_bytes(const std::byte* block, int v) {
    return bit_and(both_bytes<q>(block, v), splat_i(0x0f0f0f0f));
  }
  template <int q>
  static RIDGELINE_INLINE VecI min_bytes(const std::byte* block, int v) {
    return bit_and(shift_right<4>(both_bytes<q>(block, v)), splat_i(0x0f0f0f0f));
  }
  /// The scale of sub-block i of chunk c.
  template <int i>
  static RIDGELINE_INLINE VecI scale(const std::byte* block, int c, int v) {
    const VecI both = load_i(reload(block + kScalesAt) + static_cast<std::size_t>(c) * kGroupBytes +
                             v * kVecBytes);
    if constexpr (i == 0)
      return bit_and(both, splat_i(15));
    else
      return bit_and(shift_right<8 * i>(both), splat_i(15));
  }
  static RIDGELINE_INLINE void unpack_scales(const std::byte* block,
                                             std::int32_t (*out)[kPanelWidth]) {
    unroll<0, 4>([&](auto q) RIDGELINE_BODY {
      for (int v = 0; v < kVecs; ++v) store_bytes(scale_bytes<q>(block, v), out + 4 * q, v);
    });
  }
  static RIDGELINE_INLINE void unpack_mins(const std::byte* block,
                                           std::int32_t (*out)[kPanelWidth]) {
    unroll<0, 4>([&](auto q) RIDGELINE_BODY {
      for (int v = 0; v < kVecs; ++v) store_bytes(min_bytes<q>(block, v), out + 4 * q, v);
    });
  }

 private:
  template <int q>
  static RIDGELINE_INLINE VecI both_bytes(const std::byte* block, int v) {
    return load_i(block + kScalesAt + q * kGroupBytes + v * kVecBytes);
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
