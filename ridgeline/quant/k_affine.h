#pragma once

#include <cstdint>

#include "ridgeline/quant/sub_block_fits.h"

// What Q4_K and Q5_K have in common: 256 elements in eight sub-blocks s of 32, each with
// a scale and an offset below zero, of six bits each times a scale of the whole block:
// x[i] = d · scale[s] · level[i] - dmin · min[s]. They differ in the number of levels.
namespace ridgeline::k_affine {

constexpr int kElements = 256;
constexpr int kSubBlocks = 8;
constexpr int kSubElements = kElements / kSubBlocks;

/// Twelve bytes hold eight 6-bit scales and eight 6-bit mins; the upper two bits of the
/// last four of each sit on top of the first four (j = 0..3):
///
///                    bits 7 6           bits 5 4 3 2 1 0
///   packed[j]        scale[4+j] » 4     scale[j]
///   packed[4 + j]    min[4+j] » 4       min[j]
///
///                    bits 7 6 5 4       bits 3 2 1 0
///   packed[8 + j]    min[4+j] & 15      scale[4+j] & 15
using PackedScales = std::uint8_t[12];

/// The same, one byte each.
struct Scales {
  std::uint8_t scale[kSubBlocks];
  std::uint8_t min[kSubBlocks];
};
Scales unpack_scales(const PackedScales& packed);
void pack_scales(const Scales& from, PackedScales& packed);

/// x = scale · level - min, for each sub-block.
struct Factors {
  float scale[kSubBlocks];
  float min[kSubBlocks];
};
Factors factors(std::uint16_t d, std::uint16_t dmin, const PackedScales& packed);

/// Numbers >= 0 in steps of the greatest / `top`; the greatest is returned.
float round_to_steps(const float* from, int n, int top, std::uint8_t* to);

/// A block, its levels one byte each.
struct Encoded {
  std::uint16_t d;
  std::uint16_t dmin;
  PackedScales scales;
  std::uint8_t levels[kSubBlocks][kSubElements];
};
Encoded encode_block(const float* x, const StepTrials& trials);

}  // namespace ridgeline::k_affine
