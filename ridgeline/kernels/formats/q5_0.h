#pragma once

#include "ridgeline/kernels/impl/panel.h"
#include "ridgeline/quant/q5_0.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// The levels q0..q7 of a block's eight k-groups in five groups of 64 bytes: five lie
/// whole in the low bits, three are spread over the upper ones. That takes fewer
/// instructions to unpack than the file's nibbles and single bits.
///
///   a byte of      bit 7           bits 6 5          bits 4 3 2 1 0
///   group 0        bits 2 1 0 of q5                  q0
///   group 1        bit 3 of q7     bits 4 3 of q5    q1
///   group 2        bits 2 1 0 of q6                  q2
///   group 3        bit 4 of q7     bits 4 3 of q6    q3
///   group 4        bits 2 1 0 of q7                  q4
template <class FileBlock, std::size_t kScaleBytes = 32>
struct FiveBitBlocks : SmallBlocks<FileBlock, 5 * kGroupBytes, kScaleBytes> {
  static constexpr int kMaxLevel = 31;

  static void pack_values(Rows blocks, std::byte* values) {
    std::uint32_t lane[5][kPanelWidth] = {};
    for (int r = 0; r < blocks.count; ++r) {
      std::uint32_t q[8];
      read_levels(blocks.row(r), q);
      lane[0][r] = q[0] | (q[5] & kBytes * 7) << 5;
      lane[1][r] = q[1] | (q[5] >> 3 & kBytes * 3) << 5 | (q[7] >> 3 & kBytes) << 7;
      lane[2][r] = q[2] | (q[6] & kBytes * 7) << 5;
      lane[3][r] = q[3] | (q[6] >> 3 & kBytes * 3) << 5 | (q[7] >> 4 & kBytes) << 7;
      lane[4][r] = q[4] | (q[7] & kBytes * 7) << 5;
    }
    std::memcpy(values, lane, sizeof lane);
  }
  template <int g>
  static RIDGELINE_INLINE VecI levels(const std::byte* values, int v) {
    const auto group = [&](int i) RIDGELINE_BODY {
      return load_i(values + i * static_cast<int>(kGroupBytes) + v * kVecBytes);
    };
    if constexpr (g < 5) return bit_and(group(g), splat_i(0x1f1f1f1f));
    const VecI low = bit_and(shift_right<5>(group((g - 5) * 2)), splat_i(0x07070707));
    if constexpr (g < 7)
      return bit_or(low, bit_and(shift_right<2>(group((g - 5) * 2 + 1)), splat_i(0x18181818)));
    return bit_or(bit_or(low, bit_and(shift_right<4>(group(1)), splat_i(0x08080808))),
                  bit_and(shift_right<3>(group(3)), splat_i(0x10101010)));
  }

 private:
  static constexpr std::uint32_t kBytes = 0x01010101;

  /// Four levels a word.
  static void read_levels(const std::byte* file, std::uint32_t (&q)[8]) {
    std::uint32_t fifth;
    std::memcpy(&fifth, file + offsetof(FileBlock, qh), sizeof fifth);
    for (std::size_t g = 0; g < 4; ++g) {
      std::uint32_t nibbles;
      std::memcpy(&nibbles, file + offsetof(FileBlock, qs) + 4 * g, sizeof nibbles);
      q[g] = (nibbles & kBytes * 15) | spread(fifth >> (4 * g)) << 4;
      q[g + 4] = (nibbles >> 4 & kBytes * 15) | spread(fifth >> (4 * g + 16)) << 4;
    }
  }
  /// Bits 0..3 as the lowest bits of four bytes: bit i moves up by 7 i.
  static std::uint32_t spread(std::uint32_t bits) { return (bits & 15) * 0x00204081u & kBytes; }
};

struct Q5_0 : FiveBitBlocks<BlockQ5_0> {
  static constexpr DType kDType = DType::kQ5_0;
  static constexpr int kZeroShift = 4;  ///< level 16 = 1 << 4 stands for 0
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
