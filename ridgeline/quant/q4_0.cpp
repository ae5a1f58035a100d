#include "ridgeline/quant/q4_0.h"

#include <cstring>

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/isa.h"

namespace ridgeline {

void decode_q4_0(const std::byte* blocks, std::int64_t n, float* out) {
  constexpr int kHalf = BlockQ4_0::kElements / 2;
  for (std::int64_t i = 0; i < n; i += BlockQ4_0::kElements) {
    BlockQ4_0 block;
    std::memcpy(&block, blocks, sizeof block);
    blocks += sizeof block;
    const float d = f16_to_f32(block.d);
    float* y = out + i;
    for (int j = 0; j < kHalf; ++j) y[j] = static_cast<float>((block.qs[j] & 15) - 8) * d;
    for (int j = 0; j < kHalf; ++j) y[j + kHalf] = static_cast<float>((block.qs[j] >> 4) - 8) * d;
  }
}

void encode_q4_0(const float* in, std::int64_t n, std::byte* blocks) {
  row_coders().q4_0(in, n, blocks);
}

}  // namespace ridgeline
