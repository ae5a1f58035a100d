#pragma once

#include "ridgeline/kernels/formats/nibbles.h"
#include "ridgeline/quant/mxfp4.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// The exponents of four blocks, a byte each, then codes as Q4_0 has its levels:
///
///   ┌────────────────────────┬────────────────┬───────────────────────┬───────────┐
///   │ 16 exponents of        │ ... 4p + 1, 2, │ 256 bytes of codes of │ ... 3     │
///   │ block 4p               │ 3              │ block 4p              │     more  │
///   └────────────────────────┴────────────────┴───────────────────────┴───────────┘
///
/// A code chooses its doubled value + 16.
struct MXFP4 : NibbleBlocks<BlockMXFP4, 16> {
  static constexpr DType kDType = DType::kMXFP4;
  static constexpr int kMaxLevel = 28;
  static constexpr int kZeroShift = 4;
  static constexpr std::uint8_t kPlus16[16] = {16, 17, 18, 19, 20, 22, 24, 28,
                                               16, 15, 14, 13, 12, 10, 8,  4};

  static void pack_scales(Rows blocks, std::byte* to) {
    transpose<std::uint8_t>(blocks.at(offsetof(File, e)), 1, to);
  }
  /// 2^(e - 128): the exponent field is e - 1, and below it 2^-127 and 2^-128 are subnormal.
  static RIDGELINE_INLINE VecF scale(Block block, int v) {
    const VecI e = load_bytes(block.scales + v * kLanes);
    const VecI normal = shift_left<23>(sub(e, splat_i(1)));
    const VecI subnormal = shift_left<21>(add(bit_and(e, splat_i(1)), splat_i(1)));
    return from_bits(max(normal, subnormal));
  }
  template <int g>
  static RIDGELINE_INLINE VecI levels(const std::byte* values, int v) {
    return look_up(byte_table(kPlus16), NibbleBlocks<BlockMXFP4, 16>::levels<g>(values, v));
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
