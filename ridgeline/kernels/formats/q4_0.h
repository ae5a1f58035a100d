#pragma once

#include "ridgeline/kernels/impl/panel.h"
#include "ridgeline/quant/q4_0.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// The file's 16 bytes of levels, transposed: group j (0..3) of a block has k-group j
/// in the low nibbles and k-group j + 4 in the high ones.
struct Q4_0 : PairedBlocks<4 * kGroupBytes> {
  static constexpr DType kDType = DType::kQ4_0;
  static constexpr int kMaxLevel = 15;
  static constexpr int kZeroShift = 3;  ///< level 8 = 1 << 3 stands for 0
  using File = BlockQ4_0;

  static void pack_values(Rows blocks, std::byte* values) {
    transpose<std::uint32_t>(blocks.at(offsetof(File, qs)), 4, values);
  }
  template <int g>
  static RIDGELINE_INLINE VecI levels(const std::byte* values, int v) {
    const VecI raw = load_i(values + (g % 4) * kGroupBytes + v * kVecBytes);
    return bit_and(g < 4 ? raw : shift_right<4>(raw), splat_i(0x0f0f0f0f));
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
