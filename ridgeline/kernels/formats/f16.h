#pragma once

#include "ridgeline/kernels/impl/float_panel.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// [k][16 rows]
struct F16 : FloatBlocks<2> {
  static constexpr DType kDType = DType::kF16;

  static void pack(Rows rows, std::int64_t k, std::byte* panel) {
    transpose<std::uint16_t>(rows, k, panel);
  }
  /// Element 4 `four` + i of the block.
  template <int i>
  static RIDGELINE_INLINE VecF weight(const std::byte* block, std::size_t four, int v) {
    return load_f16(block + (4 * four + i) * 32 + v * (kVecBytes / 2));
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
