#pragma once

#include "ridgeline/kernels/impl/panel.h"
#include "ridgeline/quant/q5_0.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// Four groups of nibbles as in Q4_0, then one of fifth bits: bit g of byte i belongs
/// to element 4 g + i, so that one shift brings a k-group's bits into place.
///
///   ┌─────────────────────────────┬────────────────┐
///   │ 4 × 64 bytes of nibbles     │ 64 bytes, bits │
///   └─────────────────────────────┴────────────────┘
struct Q5_0 : PairedBlocks<5 * kGroupBytes> {
  static constexpr DType kDType = DType::kQ5_0;
  static constexpr int kMaxLevel = 31;
  static constexpr int kZeroShift = 4;
  using File = BlockQ5_0;

  static void pack_values(Rows blocks, std::byte* values) {
    transpose<std::uint32_t>(blocks.at(offsetof(File, qs)), 4, values);
    std::uint32_t lane[kPanelWidth] = {};
    for (int r = 0; r < blocks.count; ++r) {
      std::uint32_t bits_by_element;
      std::memcpy(&bits_by_element, blocks.row(r) + offsetof(File, qh), 4);
      for (int e = 0; e < 32; ++e) lane[r] |= (bits_by_element >> e & 1u) << (e % 4 * 8 + e / 4);
    }
    std::memcpy(values + 4 * kGroupBytes, lane, sizeof lane);
  }
  template <int g>
  static RIDGELINE_INLINE VecI levels(const std::byte* values, int v) {
    const VecI raw = load_i(values + (g % 4) * kGroupBytes + v * kVecBytes);
    const VecI fifth = load_i(values + 4 * kGroupBytes + v * kVecBytes);
    const VecI low = bit_and(g < 4 ? raw : shift_right<4>(raw), splat_i(0x0f0f0f0f));
    VecI high = fifth;
    if constexpr (g < 4)
      high = shift_left<4 - g>(fifth);
    else if constexpr (g > 4)
      high = shift_right<g - 4>(fifth);
    return bit_or(low, bit_and(high, splat_i(0x10101010)));
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
