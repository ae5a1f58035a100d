#pragma once

#include "ridgeline/kernels/formats/codes.h"
#include "ridgeline/quant/iq3.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// Entries of the codebook spelt out, as for IQ2: four bits a weight, three of magnitude
/// and one of sign.
template <class Format, class FileBlock, void (*unpack)(const std::byte*, iq_grids::Unpacked&)>
struct IQ3Blocks : CodeBlocks<Format, 32, FourBitCodes> {
  using File = FileBlock;

  static void read_block(const std::byte* file,
                         typename CodeBlocks<Format, 32, FourBitCodes>::Apart& to) {
    iq_grids::Unpacked unpacked;
    unpack(file, unpacked);
    to.d = unpacked.d;
    std::memcpy(to.scales, unpacked.scales, sizeof to.scales);
    std::memcpy(to.codes, unpacked.codes, sizeof to.codes);
  }
};

struct IQ3_XXS : IQ3Blocks<IQ3_XXS, BlockIQ3_XXS, unpack_iq3_xxs> {
  static constexpr DType kDType = DType::kIQ3_XXS;
  static constexpr int kMaxLevel = 126;
  static constexpr int kZero = 64;
  static constexpr std::uint8_t kLevels[16] = {68, 76, 84, 92, 100, 108, 116, 126,
                                               60, 52, 44, 36, 28,  20,  12,  2};
};
struct IQ3_S : IQ3Blocks<IQ3_S, BlockIQ3_S, unpack_iq3_s> {
  static constexpr DType kDType = DType::kIQ3_S;
  static constexpr int kMaxLevel = 31;
  static constexpr int kZero = 16;
  static constexpr std::uint8_t kLevels[16] = {17, 19, 21, 23, 25, 27, 29, 31,
                                               15, 13, 11, 9,  7,  5,  3,  1};
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
