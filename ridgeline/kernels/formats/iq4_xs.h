#pragma once

#include "ridgeline/kernels/formats/codes.h"
#include "ridgeline/kernels/formats/iq4_nl.h"
#include "ridgeline/quant/half.h"
#include "ridgeline/quant/iq4_xs.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// d takes four bytes: three percent more than the file.
struct IQ4_XS : CodeBlocks<IQ4_XS, 32, FourBitCodes> {
  static constexpr DType kDType = DType::kIQ4_XS;
  static constexpr int kMaxLevel = 255;
  static constexpr int kZero = 128;
  static constexpr auto& kLevels = Iq4Codebook::kPlus128;
  using File = BlockIQ4_XS;

  static void read_block(const std::byte* file, Apart& to) {
    File block;
    std::memcpy(&block, file, sizeof block);
    const UnpackedIQ4_XS unpacked = unpack_iq4_xs(block);
    to.d = f16_to_f32(block.d);
    std::memcpy(to.scales, unpacked.scales, sizeof to.scales);
    std::memcpy(to.codes, unpacked.codes, sizeof to.codes);
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
