#pragma once

#include <cstdint>

// The codebooks of the IQ2 and IQ3 types: an entry has the magnitudes of eight (IQ2) or
// four (IQ3) neighbouring elements, as digits of two or four bits, the first in the
// lowest bits. The signs are stored apart.
namespace ridgeline::iq_grids {

extern const std::uint16_t kIQ2_XXS[256];
extern const std::uint16_t kIQ2_XS[512];
extern const std::uint16_t kIQ2_S[1024];
extern const std::uint16_t kIQ3_XXS[256];
extern const std::uint16_t kIQ3_S[512];

/// What the digits stand for.
inline constexpr std::uint8_t kIQ2Magnitudes[8] = {8, 25, 43, 0, 0, 0, 0, 0};  // three digits
inline constexpr std::uint8_t kIQ3_XXSMagnitudes[8] = {4, 12, 20, 28, 36, 44, 52, 62};
inline constexpr std::uint8_t kIQ3_SMagnitudes[8] = {1, 3, 5, 7, 9, 11, 13, 15};

/// A block of 256 elements taken apart: x[i] = d · scales[i / n] · ±magnitude[digit],
/// n = 16 or 32. A code has the digit in its lower three bits and the sign in the fourth.
struct Unpacked {
  float d;
  std::int8_t scales[16];
  std::uint8_t codes[256];
};

}  // namespace ridgeline::iq_grids
