#pragma once

#include "ridgeline/kernels/impl/panel.h"
#include "ridgeline/quant/q6_k.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// d as F32, so that the block keeps a multiple of 64 bytes (one percent more than the
/// file), the scales transposed, then each sub-block's levels in three groups:
///
///   ┌──────────┬──────────────────┬──────────────────┬──────────────────┬─────────┐
///   │ d        │ 4 groups scales  │ s = 0, 3 groups  │ s = 1, 3 groups  │ ... 15  │
///   └──────────┴──────────────────┴──────────────────┴──────────────────┴─────────┘
///    16 F32      256 bytes          192 bytes          192 bytes
///
///   a byte of      bits 7 6           bits 5 4 3 2 1 0
///   group 0        bits 1 0 of q3     q0                 q0..q3: the levels of the
///   group 1        bits 3 2 of q3     q1                 sub-block's four k-groups
///   group 2        bits 5 4 of q3     q2
///
/// A quarter fewer instructions unpack it than the file's nibbles and pairs of bits,
/// and memory is read strictly forward: prefetching by the hardware doubles the speed
/// of a product with few rows.
struct Q6_K {
  static constexpr DType kDType = DType::kQ6_K;
  static constexpr int kMaxLevel = 63;
  static constexpr int kElements = 256;
  static constexpr int kSubElements = 16;
  static constexpr bool kHasMins = false;
  static constexpr int kZero = 32;
  using File = BlockQ6_K;
  static constexpr std::size_t kScalesAt = kGroupBytes;
  static constexpr std::size_t kLevelsAt = 5 * kGroupBytes;
  static constexpr std::size_t kBlockBytes = 53 * kGroupBytes;

  static void pack_block(Rows blocks, std::byte* to) {
    std::byte d_f16[kPanelWidth * 2];
    transpose<std::uint16_t>(blocks.at(offsetof(File, d)), 1, d_f16);
    for (int v = 0; v < kVecs; ++v)
      store(reinterpret_cast<float*>(to) + v * kLanes, load_f16(d_f16 + v * kLanes * 2));
    transpose<std::uint32_t>(blocks.at(offsetof(File, scales)), 4, to + kScalesAt);
    std::uint32_t lane[48][kPanelWidth] = {};  // of each group
    for (int r = 0; r < blocks.count; ++r) pack_levels(blocks.row(r), lane, r);
    std::memcpy(to + kLevelsAt, lane, sizeof lane);
  }

  /// Four sub-blocks.
  static constexpr int kChunkElements = 64;
  struct Chunk {
    const std::byte* levels;
  };
  static RIDGELINE_INLINE Chunk chunk(const std::byte* block, int c) {
    return {reload(block + kLevelsAt + static_cast<std::size_t>(c) * 12 * kGroupBytes)};
  }
  /// k-group g (0..15) of the chunk.
  template <int g>
  static RIDGELINE_INLINE VecI levels(Chunk chunk, int v) {
    const std::byte* groups = chunk.levels + g / 4 * 3 * kGroupBytes + v * kVecBytes;
    if constexpr (g % 4 != 3) {
      return bit_and(load_i(groups + g % 4 * kGroupBytes), splat_i(0x3f3f3f3f));
    } else {
      const VecI low = bit_and(shift_right<6>(load_i(groups)), splat_i(0x03030303));
      const VecI middle =
          bit_and(shift_right<4>(load_i(groups + kGroupBytes)), splat_i(0x0c0c0c0c));
      const VecI high =
          bit_and(shift_right<2>(load_i(groups + 2 * kGroupBytes)), splat_i(0x30303030));
      return bit_or(bit_or(low, middle), high);
    }
  }
  static RIDGELINE_INLINE VecF d(const std::byte* block, int v) {
    return load(floats(block) + v * kLanes);
  }
  /// The scale of sub-block i of chunk c.
  template <int i>
  static RIDGELINE_INLINE VecI scale(const std::byte* block, int c, int v) {
    return signed_byte_of<i>(load_i(reload(block + kScalesAt) +
                                    static_cast<std::size_t>(c) * kGroupBytes + v * kVecBytes));
  }
  static RIDGELINE_INLINE void unpack_scales(const std::byte* block,
                                             std::int32_t (*out)[kPanelWidth]) {
    unpack_signed_scales<4>(block + kScalesAt, out);
  }

 private:
  /// Row r's lanes; see quant/q6_k.h for the rows a, b, c, d of a half.
  static void pack_levels(const std::byte* file, std::uint32_t (*lane)[kPanelWidth], int r) {
    std::uint8_t q[kElements];
    for (int half = 0; half < 2; ++half) {
      const std::byte* ql = file + offsetof(File, ql) + half * 64;
      const std::byte* qh = file + offsetof(File, qh) + half * 32;
      std::uint8_t* out = q + half * 128;
      for (int j = 0; j < 32; ++j) {
        const auto a = static_cast<std::uint8_t>(ql[j]), b = static_cast<std::uint8_t>(ql[32 + j]);
        const auto h = static_cast<std::uint8_t>(qh[j]);
        out[j] = static_cast<std::uint8_t>((a & 15) | (h & 3) << 4);
        out[32 + j] = static_cast<std::uint8_t>((b & 15) | (h & 12) << 2);
        out[64 + j] = static_cast<std::uint8_t>(a >> 4 | (h & 48));
        out[96 + j] = static_cast<std::uint8_t>(b >> 4 | (h & 192) >> 2);
      }
    }
    constexpr std::uint32_t kTwoBits = 0x03030303;
    for (int s = 0; s < 16; ++s) {
      std::uint32_t g[4];
      std::memcpy(g, q + 16 * s, sizeof g);
      lane[3 * s][r] = g[0] | (g[3] & kTwoBits) << 6;
      lane[3 * s + 1][r] = g[1] | (g[3] >> 2 & kTwoBits) << 6;
      lane[3 * s + 2][r] = g[2] | (g[3] >> 4 & kTwoBits) << 6;
    }
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
