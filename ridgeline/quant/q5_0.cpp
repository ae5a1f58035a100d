#include "ridgeline/quant/q5_0.h"

#include <cstring>

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/isa.h"

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
  row_coders().q5_0(in, n, blocks);
}

}  // namespace ridgeline
