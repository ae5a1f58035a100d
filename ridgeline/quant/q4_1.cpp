#include "ridgeline/quant/q4_1.h"

#include <cstring>

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/isa.h"

namespace ridgeline {
namespace {

constexpr int kHalf = BlockQ4_1::kElements / 2;

}  // namespace

// d · q is exact (11 + 4 significant bits), so the one rounding is that of the addition.
void decode_q4_1(const std::byte* blocks, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; i += BlockQ4_1::kElements) {
    BlockQ4_1 block;
    std::memcpy(&block, blocks, sizeof block);
    blocks += sizeof block;
    const float d = f16_to_f32(block.d), m = f16_to_f32(block.m);
    float* y = out + i;
    for (int j = 0; j < kHalf; ++j) y[j] = static_cast<float>(block.qs[j] & 15) * d + m;
    for (int j = 0; j < kHalf; ++j) y[j + kHalf] = static_cast<float>(block.qs[j] >> 4) * d + m;
  }
}

void encode_q4_1(const float* in, std::int64_t n, std::byte* blocks) {
  row_coders().q4_1(in, n, blocks);
}

}  // namespace ridgeline
