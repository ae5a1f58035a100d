#include "ridgeline/quant/mxfp4.h"

#include <cmath>
#include <cstring>

#include "ridgeline/quant/rounding.h"

namespace ridgeline {
namespace {

constexpr int kHalf = BlockMXFP4::kElements / 2;

/// The code whose value is nearest to x, the first of several.
int nearest_code(float x, float half_scale) {
  int best = 0;
  float best_error = std::fabs(x);
  for (int code = 1; code < 16; ++code) {
    const float value = static_cast<float>(BlockMXFP4::kDoubled[code]) * half_scale;
    const float error = std::fabs(value - x);
    if (error < best_error) {
      best_error = error;
      best = code;
    }
  }
  return best;
}

/// The greatest value, 6 = 1.5 · 2^2, gets the exponent of the greatest element.
std::uint8_t exponent_for(float absmax) {
  if (!(absmax > 0.0f)) return 0;
  const int exponent = rounding::clamp(std::ilogb(absmax), -126, 127);
  return static_cast<std::uint8_t>(rounding::clamp(exponent - 2 + 127, 0, 254));
}

}  // namespace

void decode_mxfp4(const std::byte* blocks, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; i += BlockMXFP4::kElements) {
    BlockMXFP4 block;
    std::memcpy(&block, blocks, sizeof block);
    blocks += sizeof block;
    const float scale = BlockMXFP4::half_scale(block.e);
    float* y = out + i;
    for (int j = 0; j < kHalf; ++j) {
      y[j] = static_cast<float>(BlockMXFP4::kDoubled[block.qs[j] & 15]) * scale;
      y[j + kHalf] = static_cast<float>(BlockMXFP4::kDoubled[block.qs[j] >> 4]) * scale;
    }
  }
}

void encode_mxfp4(const float* in, std::int64_t n, std::byte* blocks) {
  for (std::int64_t i = 0; i < n; i += BlockMXFP4::kElements) {
    const float* x = in + i;
    BlockMXFP4 block;
    block.e = exponent_for(std::fabs(rounding::signed_absmax(x, BlockMXFP4::kElements)));
    const float scale = BlockMXFP4::half_scale(block.e);
    for (int j = 0; j < kHalf; ++j)
      block.qs[j] = static_cast<std::uint8_t>(nearest_code(x[j], scale) |
                                              nearest_code(x[j + kHalf], scale) << 4);
    std::memcpy(blocks, &block, sizeof block);
    blocks += sizeof block;
  }
}

}  // namespace ridgeline
