#pragma once

#include "ridgeline/kernels/formats/nibbles.h"
#include "ridgeline/quant/iq4_codebook.h"
#include "ridgeline/quant/iq4_nl.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// The codebook + 128, because the dot product wants one operand without sign.
struct Iq4Codebook {
  static constexpr std::uint8_t kPlus128[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                                129, 141, 153, 166, 181, 197, 217, 241};
  static constexpr bool agrees() {
    for (int i = 0; i < 16; ++i)
      if (kPlus128[i] != iq4::kValues[i] + 128) return false;
    return true;
  }
};
static_assert(Iq4Codebook::agrees());

/// As Q4_0, but the four bits choose a level from a table.
struct IQ4_NL : NibbleBlocks<BlockIQ4_NL> {
  static constexpr DType kDType = DType::kIQ4_NL;
  static constexpr int kMaxLevel = 255;
  static constexpr int kZeroShift = 7;

  template <int g>
  static RIDGELINE_INLINE VecI levels(const std::byte* values, int v) {
    return look_up(byte_table(Iq4Codebook::kPlus128),
                   NibbleBlocks<BlockIQ4_NL>::levels<g>(values, v));
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
