#pragma once

#include "ridgeline/kernels/formats/codes.h"
#include "ridgeline/quant/half.h"
#include "ridgeline/quant/q3_k.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// Levels are used where they lie, in the bits from 3 on, as 8 q with 32 for zero; so d is
/// an eighth. Four bytes for d and a byte for each scale: five percent more than the file.
struct Q3_K : CodeBlocks<Q3_K, 16, ThreeBitCodes> {
  static constexpr DType kDType = DType::kQ3_K;
  static constexpr int kMaxLevel = 56;
  static constexpr int kZero = 32;
  using File = BlockQ3_K;

  static void read_block(const std::byte* file, Apart& to) {
    File block;
    std::memcpy(&block, file, sizeof block);
    const UnpackedQ3_K unpacked = unpack_q3_k(block);
    to.d = f16_to_f32(block.d) / 8.0f;
    std::memcpy(to.scales, unpacked.scales, sizeof to.scales);
    std::memcpy(to.codes, unpacked.levels, sizeof to.codes);
  }
  template <int g>
  static RIDGELINE_INLINE VecI levels(Chunk chunk, int v) {
    return ThreeBitCodes::get<g % 8, 3>(chunk.codes + g / 8 * kBytesOf32 + v * kVecBytes);
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
