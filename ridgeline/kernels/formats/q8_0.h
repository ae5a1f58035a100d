#pragma once

#include "ridgeline/kernels/impl/panel.h"
#include "ridgeline/quant/q8_0.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// One group per k-group, each value stored + 128 (its top bit flipped), because the
/// dot product wants one operand without sign.
struct Q8_0 : SmallBlocks<BlockQ8_0, 8 * kGroupBytes> {
  static constexpr DType kDType = DType::kQ8_0;
  static constexpr int kMaxLevel = 255;
  static constexpr int kZeroShift = 7;

  static void pack_values(Rows blocks, std::byte* values) {
    transpose<std::uint32_t>(blocks.at(offsetof(File, qs)), 8, values);
    for (std::size_t i = 0; i < 8 * kGroupBytes; ++i) values[i] ^= std::byte{0x80};
  }
  template <int g>
  static RIDGELINE_INLINE VecI levels(const std::byte* values, int v) {
    return load_i(values + g * kGroupBytes + v * kVecBytes);
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
