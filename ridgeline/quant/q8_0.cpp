#include "ridgeline/quant/q8_0.h"

#include <cstring>

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/isa.h"

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
  row_coders().q8_0(in, n, blocks);
}

}  // namespace ridgeline
