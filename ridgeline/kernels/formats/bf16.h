#pragma once

#include "ridgeline/kernels/impl/float_panel.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// [k / 2][16 rows][2]: the pairs that vdpbf16ps multiplies. Either half becomes a
/// float in one instruction.
struct BF16 : FloatBlocks<2> {
  static constexpr DType kDType = DType::kBF16;

  static void pack(Rows rows, std::int64_t k, std::byte* panel) {
    transpose<std::uint32_t>(rows, k / 2, panel);
    if (k % 2 == 0) return;
    const auto last = static_cast<std::size_t>(k / 2);
    std::uint32_t lane[kPanelWidth] = {};
    for (int r = 0; r < rows.count; ++r) std::memcpy(&lane[r], rows.row(r) + last * 4, 2);
    std::memcpy(panel + last * kGroupBytes, lane, sizeof lane);
  }
  static RIDGELINE_INLINE VecI pair(const std::byte* block, std::size_t i, int v) {
    return load_i(block + i * kGroupBytes + v * kVecBytes);
  }
  /// Element 4 `four` + i of the block.
  template <int i>
  static RIDGELINE_INLINE VecF weight(const std::byte* block, std::size_t four, int v) {
    const VecI both = pair(block, 2 * four + i / 2, v);
    return from_bits(i % 2 == 0 ? shift_left<16>(both) : bit_and(both, splat_i(-0x10000)));
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
