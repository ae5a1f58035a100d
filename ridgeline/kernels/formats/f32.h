#pragma once

#include "ridgeline/kernels/impl/float_panel.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// [k][16 rows]
struct F32 : FloatBlocks<4> {
  static constexpr DType kDType = DType::kF32;

  static void pack(Rows rows, std::int64_t k, std::byte* panel) {
    transpose<float>(rows, k, panel);
  }
  /// Element 4 `four` + i of the block.
  template <int i>
  static RIDGELINE_INLINE VecF weight(const std::byte* block, std::size_t four, int v) {
    return load(floats(block + (4 * four + i) * kGroupBytes) + v * kLanes);
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
