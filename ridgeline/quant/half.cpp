#include "ridgeline/quant/half.h"

#include <cstring>

#include "ridgeline/quant/isa.h"

namespace ridgeline {
namespace {

constexpr std::uint32_t kF32Infinity = 0xffu << 23;
constexpr std::uint32_t kF32QuietBit = 1u << 22;
// A binary16 shifted up by 13 has its fields where binary32 has them; the exponent
// is then short of the difference of the two biases.
constexpr std::uint32_t kF16Infinity = 0x1fu << 23;
constexpr std::uint32_t kRebias = (127u - 15u) << 23;
constexpr std::uint32_t kF16MinNormal = (127u - 14u) << 23;  // 2^-14

static_assert(std::endian::native == std::endian::little, "blocks are stored little-endian");

// The 16-bit conversions choose operands, not results: GCC turns a floating-point
// operation in one arm of a choice into a branch ("control flow in loop"), and the loops
// over rows would not vectorize.

// A signalling NaN comes out quiet with its payload, as from vcvtph2ps: every path of
// the engine agrees on the bits.
float widen_f16(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t magnitude = static_cast<std::uint32_t>(bits & 0x7fffu) << 13;

  // A subnormal f is normalized exactly by (2^-14 + f) - 2^-14; others subtract 0.
  const bool subnormal = magnitude < (1u << 23);
  const std::uint32_t raised = magnitude + (subnormal ? kF16MinNormal : kRebias);
  const float value =
      std::bit_cast<float>(raised) - std::bit_cast<float>(subnormal ? kF16MinNormal : 0u);

  const std::uint32_t special = magnitude >= kF16Infinity ? kF32Infinity : 0u;
  const std::uint32_t quiet = magnitude > kF16Infinity ? kF32QuietBit : 0u;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) | special | quiet | sign);
}

std::uint16_t narrow_f16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;

  // A step of binary32 just above 0.5 is 2^-24, the step of binary16's subnormals: for
  // those the addition itself rounds. Others add 0.
  constexpr std::uint32_t kHalf = std::bit_cast<std::uint32_t>(0.5f);
  const bool subnormal = magnitude < kF16MinNormal;
  const std::uint32_t sum = std::bit_cast<std::uint32_t>(
      std::bit_cast<float>(magnitude) + std::bit_cast<float>(subnormal ? kHalf : 0u));

  // Adding just under half a step, plus one where the kept bits are odd, rounds to
  // nearest even. A carry runs into the exponent, up to infinity where it must.
  const std::uint32_t odd = (sum >> 13) & 1u;
  const std::uint32_t normal = (sum - kRebias + 0xfffu + odd) >> 13;
  const std::uint32_t finite = subnormal ? sum - kHalf : normal;

  constexpr std::uint32_t kTwoTo16 = (127u + 16u) << 23;
  const std::uint32_t nan = magnitude > kF32Infinity ? 0x200u | ((magnitude >> 13) & 0x3ffu) : 0u;
  const std::uint32_t result = magnitude >= kTwoTo16 ? 0x7c00u | nan : finite;
  return static_cast<std::uint16_t>(result | sign);
}

std::uint16_t narrow_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  // Truncation keeps a NaN's payload; the quiet bit keeps it from becoming infinity.
  const std::uint32_t nan = (bits >> 16) | (kF32QuietBit >> 16);
  return static_cast<std::uint16_t>((bits & 0x7fffffffu) > kF32Infinity ? nan : rounded);
}

template <class Convert>
void decode_16bit(const std::byte* in, std::int64_t n, float* out, Convert convert) {
  for (std::int64_t i = 0; i < n; ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, in + 2 * i, sizeof bits);
    out[i] = convert(bits);
  }
}

template <class Convert>
void encode_16bit(const float* in, std::int64_t n, std::byte* out, Convert convert) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint16_t bits = convert(in[i]);
    std::memcpy(out + 2 * i, &bits, sizeof bits);
  }
}

}  // namespace

// Calls, so that position-independent code may still inline the conversions above.
float f16_to_f32(std::uint16_t bits) { return widen_f16(bits); }
std::uint16_t f32_to_f16(float value) { return narrow_f16(value); }
std::uint16_t f32_to_bf16(float value) { return narrow_bf16(value); }

void decode_f16(const std::byte* in, std::int64_t n, float* out) {
  row_coders().decode_f16(in, n, out);
}
void decode_f16_portable(const std::byte* in, std::int64_t n, float* out) {
  decode_16bit(in, n, out, widen_f16);
}
void encode_f16(const float* in, std::int64_t n, std::byte* out) {
  encode_16bit(in, n, out, narrow_f16);
}
void decode_bf16(const std::byte* in, std::int64_t n, float* out) {
  decode_16bit(in, n, out, bf16_to_f32);
}
void encode_bf16(const float* in, std::int64_t n, std::byte* out) {
  encode_16bit(in, n, out, narrow_bf16);
}

}  // namespace ridgeline
