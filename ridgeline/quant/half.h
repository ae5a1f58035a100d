#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace ridgeline {

/// IEEE binary16 and bfloat16 as bit patterns, converted in portable code.
/// Rounding is to nearest even; NaN stays NaN.
///
///   F16   seeeeeff ffffffff
///   BF16  seeeeeee efffffff   the upper half of binary32
float f16_to_f32(std::uint16_t bits);
std::uint16_t f32_to_f16(float value);

inline float bf16_to_f32(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}
std::uint16_t f32_to_bf16(float value);

// The same for n numbers that lie one after the other, little-endian.
void decode_f16(const std::byte* in, std::int64_t n, float* out);
/// What decode_f16 is where the CPU has no instruction for it.
void decode_f16_portable(const std::byte* in, std::int64_t n, float* out);
void encode_f16(const float* in, std::int64_t n, std::byte* out);
void decode_bf16(const std::byte* in, std::int64_t n, float* out);
void encode_bf16(const float* in, std::int64_t n, std::byte* out);

}  // namespace ridgeline
