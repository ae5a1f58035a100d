#pragma once

#include "ridgeline/kernels/impl/panel.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// 32 levels or codes of four bits, as Q4_0 has them: the file's 16 bytes, transposed.
/// Group j (0..3) has k-group j in the low nibbles and k-group j + 4 in the high ones.
template <int g>
RIDGELINE_INLINE VecI nibbles(const std::byte* values, int v) {
  const VecI raw = load_i(values + (g % 4) * kGroupBytes + v * kVecBytes);
  return bit_and(g < 4 ? raw : shift_right<4>(raw), splat_i(0x0f0f0f0f));
}

template <class FileBlock, std::size_t kScaleBytes = 32>
struct NibbleBlocks : SmallBlocks<FileBlock, 4 * kGroupBytes, kScaleBytes> {
  static void pack_values(Rows blocks, std::byte* values) {
    transpose<std::uint32_t>(blocks.at(offsetof(FileBlock, qs)), 4, values);
  }
  template <int g>
  static RIDGELINE_INLINE VecI levels(const std::byte* values, int v) {
    return nibbles<g>(values, v);
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
