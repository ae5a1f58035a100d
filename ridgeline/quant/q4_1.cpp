#include "ridgeline/quant/q4_1.h"

#include <cstring>

#include "ridgeline/quant/affine32.h"
#include "ridgeline/quant/half.h"

namespace ridgeline {
namespace {

constexpr int kHalf = BlockQ4_1::kElements / 2;
constexpr int kTop = 15;

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
  for (std::int64_t i = 0; i < n; i += BlockQ4_1::kElements) {
    const float* x = in + i;
    const affine32::Fit fit = affine32::fit(x, kTop);
    BlockQ4_1 block{.d = f32_to_f16(fit.d), .m = f32_to_f16(fit.min), .qs = {}};
    for (int j = 0; j < kHalf; ++j) {
      const int low = affine32::level(fit, x[j], kTop);
      const int high = affine32::level(fit, x[j + kHalf], kTop);
      block.qs[j] = static_cast<std::uint8_t>(low | high << 4);
    }
    std::memcpy(blocks, &block, sizeof block);
    blocks += sizeof block;
  }
}

}  // namespace ridgeline
