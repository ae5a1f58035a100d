#include "ridgeline/quant/q8_0.h"

#include <cmath>
#include <cstring>

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/rounding.h"

namespace ridgeline {

void decode_q8_0(const std::byte* blocks, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; i += BlockQ8_0::kElements) {
    BlockQ8_0 block;
    std::memcpy(&block, blocks, sizeof block);
    blocks += sizeof block;
    const float d = f16_to_f32(block.d);
    for (int j = 0; j < BlockQ8_0::kElements; ++j) out[i + j] = static_cast<float>(block.qs[j]) * d;
  }
}

void encode_q8_0(const float* in, std::int64_t n, std::byte* blocks) {
  for (std::int64_t i = 0; i < n; i += BlockQ8_0::kElements) {
    const float* x = in + i;
    const float d = std::fabs(rounding::signed_absmax(x, BlockQ8_0::kElements)) / 127.0f;
    // The levels follow the scale before it is rounded to f16, as in the reference.
    const float inverse = rounding::reciprocal(d);
    BlockQ8_0 block;
    block.d = f32_to_f16(d);
    for (int j = 0; j < BlockQ8_0::kElements; ++j)
      block.qs[j] = static_cast<std::int8_t>(rounding::round_half_away(x[j] * inverse));
    std::memcpy(blocks, &block, sizeof block);
    blocks += sizeof block;
  }
}

}  // namespace ridgeline
