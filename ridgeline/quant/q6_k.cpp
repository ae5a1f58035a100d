#include "ridgeline/quant/q6_k.h"

#include <cmath>
#include <cstring>

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/isa.h"
#include "ridgeline/quant/rounding.h"

namespace ridgeline {
namespace {

constexpr int kSubBlocks = BlockQ6_K::kSubBlocks;
constexpr int kSubElements = BlockQ6_K::kElements / kSubBlocks;
constexpr int kLevels = 32;  // signed levels are [-32, 31]
constexpr int kRow = 32;     // of the four rows that share qh
constexpr float kZeroBelow = 1e-15f;

void encode_block(const float* x, BlockQ6_K& block) {
  float scales[kSubBlocks];
  std::uint8_t levels[BlockQ6_K::kElements];
  row_coders().fits.q6_k(x, scales, levels);
  const float scale_max = rounding::signed_absmax(scales, kSubBlocks);
  if (std::fabs(scale_max) < kZeroBelow) {
    block = {};
    return;
  }

  const float inverse = -128.0f / scale_max;
  block.d = f32_to_f16(1.0f / inverse);
  for (int s = 0; s < kSubBlocks; ++s) {
    const int scale = rounding::round_half_even(inverse * scales[s]);
    block.scales[s] = static_cast<std::int8_t>(rounding::clamp(scale, -128, 127));
    // The scale has been rounded, so the levels are chosen anew against it.
    const float d = f16_to_f32(block.d) * static_cast<float>(block.scales[s]);
    if (d == 0.0f) continue;
    for (int i = s * kSubElements; i < (s + 1) * kSubElements; ++i)
      levels[i] = static_cast<std::uint8_t>(
          kLevels + rounding::clamp(rounding::round_half_even(x[i] / d), -kLevels, kLevels - 1));
  }
  pack_q6_k_levels(levels, block);
}

}  // namespace

void pack_q6_k_levels(const std::uint8_t* levels, BlockQ6_K& block) {
  for (int half = 0; half < 2; ++half) {
    const std::uint8_t* a = levels + half * 4 * kRow;
    const std::uint8_t *b = a + kRow, *c = b + kRow, *d = c + kRow;
    std::uint8_t* ql = block.ql + half * 2 * kRow;
    std::uint8_t* qh = block.qh + half * kRow;
    for (int j = 0; j < kRow; ++j) {
      ql[j] = static_cast<std::uint8_t>((a[j] & 15) | (c[j] & 15) << 4);
      ql[kRow + j] = static_cast<std::uint8_t>((b[j] & 15) | (d[j] & 15) << 4);
      qh[j] = static_cast<std::uint8_t>(a[j] >> 4 | (b[j] >> 4) << 2 | (c[j] >> 4) << 4 |
                                        (d[j] >> 4) << 6);
    }
  }
}

// d · scale · q is exact (11 + 7 + 5 significant bits; -128 and -32 are powers of two),
// so the order of the products does not matter.
void decode_q6_k(const std::byte* blocks, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; i += BlockQ6_K::kElements) {
    BlockQ6_K block;
    std::memcpy(&block, blocks, sizeof block);
    blocks += sizeof block;
    const float d = f16_to_f32(block.d);
    for (int s = 0; s < kSubBlocks; ++s) {
      const float scale = d * static_cast<float>(block.scales[s]);
      const int half = s / 8, row = s % 8 / 2, first = s % 2 * kSubElements;
      const std::uint8_t* ql = block.ql + half * 2 * kRow + row % 2 * kRow + first;
      const std::uint8_t* qh = block.qh + half * kRow + first;
      const int low_shift = row / 2 * 4, high_shift = row * 2;
      float* y = out + i + s * kSubElements;
      for (int j = 0; j < kSubElements; ++j) {
        const int q = (ql[j] >> low_shift & 15) | (qh[j] >> high_shift & 3) << 4;
        y[j] = scale * static_cast<float>(q - kLevels);
      }
    }
  }
}

void encode_q6_k(const float* in, std::int64_t n, std::byte* blocks) {
  for (std::int64_t i = 0; i < n; i += BlockQ6_K::kElements) {
    BlockQ6_K block;
    encode_block(in + i, block);
    std::memcpy(blocks, &block, sizeof block);
    blocks += sizeof block;
  }
}

}  // namespace ridgeline
