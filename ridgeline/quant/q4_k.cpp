#include "ridgeline/quant/q4_k.h"

#include <algorithm>
#include <cstring>

namespace ridgeline {
namespace {

using k_affine::kSubBlocks;
using k_affine::kSubElements;

constexpr StepTrials kTrials{.level_max = 15, .trials = 21, .first = -1.0f};

}  // namespace

// d · scale · q is exact (11 + 6 + 4 significant bits), so the one rounding is that of
// the subtraction: a fused multiply-add decodes to the same bits.
void decode_q4_k(const std::byte* blocks, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; i += BlockQ4_K::kElements) {
    BlockQ4_K block;
    std::memcpy(&block, blocks, sizeof block);
    blocks += sizeof block;
    const k_affine::Factors f = k_affine::factors(block.d, block.dmin, block.scales);
    for (int s = 0; s < kSubBlocks; ++s) {
      const std::uint8_t* q = block.qs + s / 2 * kSubElements;
      float* y = out + i + s * kSubElements;
      const int shift = s % 2 * 4;
      for (int j = 0; j < kSubElements; ++j)
        y[j] = f.scale[s] * static_cast<float>(q[j] >> shift & 15) - f.min[s];
    }
  }
}

BlockQ4_K pack_q4_k(const k_affine::Encoded& from) {
  BlockQ4_K block{.d = from.d, .dmin = from.dmin, .scales = {}, .qs = {}};
  std::ranges::copy(from.scales, block.scales);
  for (int s = 0; s < kSubBlocks; s += 2)
    for (int j = 0; j < kSubElements; ++j)
      block.qs[s / 2 * kSubElements + j] =
          static_cast<std::uint8_t>(from.levels[s][j] | from.levels[s + 1][j] << 4);
  return block;
}

void encode_q4_k(const float* in, std::int64_t n, std::byte* blocks) {
  for (std::int64_t i = 0; i < n; i += BlockQ4_K::kElements) {
    const BlockQ4_K block = pack_q4_k(k_affine::encode_block(in + i, kTrials));
    std::memcpy(blocks, &block, sizeof block);
    blocks += sizeof block;
  }
}

}  // namespace ridgeline
