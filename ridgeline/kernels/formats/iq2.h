#pragma once

#include "ridgeline/kernels/formats/codes.h"
#include "ridgeline/quant/iq2.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// Entries of the codebook spelt out: a product would wait for each of them to be looked
/// up. A code has the digit of the magnitude in its lower two bits and the sign in the
/// third, and chooses the number + 64; three bits a weight, where the file has two.
template <class Format, int kSub, class FileBlock,
          void (*unpack)(const std::byte*, iq_grids::Unpacked&)>
struct IQ2Blocks : CodeBlocks<Format, kSub, ThreeBitCodes> {
  static constexpr int kMaxLevel = 107;
  static constexpr int kZero = 64;
  static constexpr std::uint8_t kLevels[16] = {64 + 8, 64 + 25, 64 + 43, 64,
                                               64 - 8, 64 - 25, 64 - 43, 64};
  using File = FileBlock;

  static void read_block(const std::byte* file,
                         typename CodeBlocks<Format, kSub, ThreeBitCodes>::Apart& to) {
    iq_grids::Unpacked unpacked;
    unpack(file, unpacked);
    to.d = unpacked.d;
    std::memcpy(to.scales, unpacked.scales, sizeof to.scales);
    for (int i = 0; i < 256; ++i)
      to.codes[i] =
          static_cast<std::uint8_t>((unpacked.codes[i] & 3) | unpacked.codes[i] >> 3 << 2);
  }
};

struct IQ2_XXS : IQ2Blocks<IQ2_XXS, 32, BlockIQ2_XXS, unpack_iq2_xxs> {
  static constexpr DType kDType = DType::kIQ2_XXS;
};
struct IQ2_XS : IQ2Blocks<IQ2_XS, 16, BlockIQ2_XS, unpack_iq2_xs> {
  static constexpr DType kDType = DType::kIQ2_XS;
};
struct IQ2_S : IQ2Blocks<IQ2_S, 16, BlockIQ2_S, unpack_iq2_s> {
  static constexpr DType kDType = DType::kIQ2_S;
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
