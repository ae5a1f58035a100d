#pragma once

#include <bit>
#include <cstdint>

namespace ridgeline {

/// IEEE binary16 and bfloat16 as bit patterns, converted in portable code.
/// Rounding is to nearest even; NaN stays NaN.
float f16_to_f32(std::uint16_t bits);
std::uint16_t f32_to_f16(float value);

inline float bf16_to_f32(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}
std::uint16_t f32_to_bf16(float value);

}  // namespace ridgeline
