#include "ridgeline/quant/q5_1.h"

#include <cstring>

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/isa.h"

namespace ridgeline {
namespace {

constexpr int kHalf = BlockQ5_1::kElements / 2;

}  // namespace

// d · q is exact (11 + 5 significant bits), so the one rounding is that of the addition.
void decode_q5_1(const std::byte* blocks, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; i += BlockQ5_1::kElements) {
    BlockQ5_1 block;
    std::memcpy(&block, blocks, sizeof block);
    blocks += sizeof block;
    std::uint32_t fifth_bits;
    std::memcpy(&fifth_bits, block.qh, sizeof fifth_bits);
    const float d = f16_to_f32(block.d), m = f16_to_f32(block.m);
    float* y = out + i;
    for (int j = 0; j < kHalf; ++j) {
      const int low = (block.qs[j] & 15) | static_cast<int>(fifth_bits >> j & 1u) << 4;
      const int high = (block.qs[j] >> 4) | static_cast<int>(fifth_bits >> (j + kHalf) & 1u) << 4;
      y[j] = static_cast<float>(low) * d + m;
      y[j + kHalf] = static_cast<float>(high) * d + m;
    }
  }
}

void encode_q5_1(const float* in, std::int64_t n, std::byte* blocks) {
  row_coders().q5_1(in, n, blocks);
}

}  // namespace ridgeline
