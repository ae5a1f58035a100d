#pragma once

#include "ridgeline/kernels/impl/panel.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// 32 codes of four bits a row in four groups: group j has k-group j in the low nibbles
/// and k-group j + 4 in the high ones.
struct FourBitCodes {
  static constexpr std::size_t kGroups = 4;
  /// q: the k-groups, a code in each byte; lane: of each group.
  static void pack(const std::uint32_t (&q)[8], std::uint32_t (*lane)[kPanelWidth], int r) {
    for (int j = 0; j < 4; ++j) lane[j][r] = q[j] | q[j + 4] << 4;
  }
  template <int g>
  static RIDGELINE_INLINE VecI get(const std::byte* groups) {
    const VecI raw = load_i(groups + g % 4 * kGroupBytes);
    return bit_and(g < 4 ? raw : shift_right<4>(raw), splat_i(0x0f0f0f0f));
  }
};

/// 32 codes of three bits a row in three groups:
///
///   a byte of      bit 7         bit 6          bits 5 4 3    bits 2 1 0
///   group 0        bits 1 0 of q6               q0            q1
///   group 1        bits 1 0 of q7               q2            q3
///   group 2        bit 2 of q7   bit 2 of q6    q4            q5
struct ThreeBitCodes {
  static constexpr std::size_t kGroups = 3;
  static void pack(const std::uint32_t (&q)[8], std::uint32_t (*lane)[kPanelWidth], int r) {
    constexpr std::uint32_t kLowBits = 0x03030303, kThirdBit = 0x01010101;
    lane[0][r] = q[0] << 3 | q[1] | (q[6] & kLowBits) << 6;
    lane[1][r] = q[2] << 3 | q[3] | (q[7] & kLowBits) << 6;
    lane[2][r] = q[4] << 3 | q[5] | (q[6] >> 2 & kThirdBit) << 6 | (q[7] >> 2 & kThirdBit) << 7;
  }
  /// The code in the bits from `at` on (0..3).
  template <int g, int at = 0>
  static RIDGELINE_INLINE VecI get(const std::byte* groups) {
    if constexpr (g < 6) {
      return bit_and(move<at - (g % 2 == 0 ? 3 : 0)>(load_i(groups + g / 2 * kGroupBytes)),
                     splat_i(0x07070707 << at));
    } else {
      const VecI low = move<at - 6>(load_i(groups + (g - 6) * kGroupBytes));
      const VecI third = move<at + 2 - g>(load_i(groups + 2 * kGroupBytes));
      return bit_or(bit_and(low, splat_i(0x03030303 << at)),
                    bit_and(third, splat_i(0x04040404 << at)));
    }
  }

 private:
  /// Up by n bits, or down by -n.
  template <int n>
  static RIDGELINE_INLINE VecI move(VecI v) {
    if constexpr (n > 0)
      return shift_left<n>(v);
    else if constexpr (n < 0)
      return shift_right<-n>(v);
    else
      return v;
  }
};

/// Panels of types with 256 elements in sub-blocks of `kSub` with integer scales, and codes
/// that choose a level from a table:
///
///   ┌──────────┬────────────────────────┬───────────────────┬───────────────────┬───────┐
///   │ d        │ 2 groups of scales     │ codes of elements │ 32..63            │ ...   │
///   │          │ (4, if kSub = 16)      │ 0..31             │                   │  255  │
///   └──────────┴────────────────────────┴───────────────────┴───────────────────┴───────┘
///    16 F32      signed bytes             Codes::kGroups
///
/// `Format` has the table, kLevels, and read_block(), which takes a block of the file apart.
template <class Format, int kSub, class Codes>
struct CodeBlocks {
  static constexpr int kElements = 256;
  static constexpr int kSubElements = kSub;
  static constexpr bool kHasMins = false;
  static constexpr std::size_t kScaleGroups = 64 / kSub;
  static constexpr std::size_t kScalesAt = kGroupBytes;
  static constexpr std::size_t kCodesAt = (1 + kScaleGroups) * kGroupBytes;
  static constexpr std::size_t kBytesOf32 = Codes::kGroups * kGroupBytes;
  static constexpr std::size_t kBlockBytes = kCodesAt + 8 * kBytesOf32;

  struct Apart {
    float d;
    std::int8_t scales[256 / kSub];
    std::uint8_t codes[256];
  };
  static void pack_block(Rows blocks, std::byte* to) {
    float d[kPanelWidth] = {};
    std::uint32_t scales[kScaleGroups][kPanelWidth] = {};
    std::uint32_t lane[8 * Codes::kGroups][kPanelWidth] = {};  // of each group of codes
    for (int r = 0; r < blocks.count; ++r) {
      Apart block;
      Format::read_block(blocks.row(r), block);
      d[r] = block.d;
      for (std::size_t i = 0; i < kScaleGroups; ++i)
        std::memcpy(&scales[i][r], block.scales + 4 * i, 4);
      for (std::size_t i = 0; i < 8; ++i) {
        std::uint32_t q[8];
        std::memcpy(q, block.codes + 32 * i, sizeof q);
        Codes::pack(q, lane + i * Codes::kGroups, r);
      }
    }
    std::memcpy(to, d, sizeof d);
    std::memcpy(to + kScalesAt, scales, sizeof scales);
    std::memcpy(to + kCodesAt, lane, sizeof lane);
  }

  static constexpr int kChunkElements = 64;
  struct Chunk {
    const std::byte* codes;
  };
  static RIDGELINE_INLINE Chunk chunk(const std::byte* block, int c) {
    return {reload(block + kCodesAt + static_cast<std::size_t>(c) * 2 * kBytesOf32)};
  }
  /// k-group g (0..15) of the chunk.
  template <int g>
  static RIDGELINE_INLINE VecI levels(Chunk chunk, int v) {
    const std::byte* groups = chunk.codes + g / 8 * kBytesOf32 + v * kVecBytes;
    return look_up(byte_table(Format::kLevels), Codes::template get<g % 8>(groups));
  }
  static RIDGELINE_INLINE VecF d(const std::byte* block, int v) {
    return load(floats(block) + v * kLanes);
  }
  /// The scale of sub-block i of chunk c, where sub-blocks have 16 elements.
  template <int i>
  static RIDGELINE_INLINE VecI scale(const std::byte* block, int c, int v) {
    return signed_byte_of<i>(load_i(reload(block + kScalesAt) +
                                    static_cast<std::size_t>(c) * kGroupBytes + v * kVecBytes));
  }
  static RIDGELINE_INLINE void unpack_scales(const std::byte* block,
                                             std::int32_t (*out)[kPanelWidth]) {
    unpack_signed_scales<kScaleGroups>(block + kScalesAt, out);
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
