#include "ridgeline/quant/q5_0.h"

#include <cstring>

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/rounding.h"

namespace ridgeline {

void decode_q5_0(const std::byte* blocks, std::int64_t n, float* out) {
  constexpr int kHalf = BlockQ5_0::kElements / 2;
  for (std::int64_t i = 0; i < n; i += BlockQ5_0::kElements) {
    BlockQ5_0 block;
    std::memcpy(&block, blocks, sizeof block);
    blocks += sizeof block;
    std::uint32_t fifth_bits;
    std::memcpy(&fifth_bits, block.qh, sizeof fifth_bits);
    const float d = f16_to_f32(block.d);
    float* y = out + i;
    for (int j = 0; j < kHalf; ++j) {
      const int fifth = static_cast<int>(fifth_bits >> j & 1u) << 4;
      y[j] = static_cast<float>(((block.qs[j] & 15) | fifth) - 16) * d;
    }
    for (int j = 0; j < kHalf; ++j) {
      const int fifth = static_cast<int>(fifth_bits >> (j + kHalf) & 1u) << 4;
      y[j + kHalf] = static_cast<float>(((block.qs[j] >> 4) | fifth) - 16) * d;
    }
  }
}

void encode_q5_0(const float* in, std::int64_t n, std::byte* blocks) {
  constexpr int kHalf = BlockQ5_0::kElements / 2;
  for (std::int64_t i = 0; i < n; i += BlockQ5_0::kElements) {
    const float* x = in + i;
    // The extreme element gets level -16, which has no positive counterpart.
    const float d = rounding::signed_absmax(x, BlockQ5_0::kElements) / -16.0f;
    const float inverse = rounding::reciprocal(d);
    BlockQ5_0 block;
    block.d = f32_to_f16(d);
    std::uint32_t fifth_bits = 0;
    for (int j = 0; j < kHalf; ++j) {
      const int low = rounding::level(x[j] * inverse, 16);
      const int high = rounding::level(x[j + kHalf] * inverse, 16);
      block.qs[j] = static_cast<std::uint8_t>((low & 15) | (high & 15) << 4);
      fifth_bits |= static_cast<std::uint32_t>(low >> 4) << j;
      fifth_bits |= static_cast<std::uint32_t>(high >> 4) << (j + kHalf);
    }
    std::memcpy(block.qh, &fifth_bits, sizeof fifth_bits);
    std::memcpy(blocks, &block, sizeof block);
    blocks += sizeof block;
  }
}

}  // namespace ridgeline
