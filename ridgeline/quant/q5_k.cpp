#include "ridgeline/quant/q5_k.h"

#include <algorithm>
#include <cstring>

namespace ridgeline {
namespace {

using k_affine::kSubBlocks;
using k_affine::kSubElements;

constexpr StepTrials kTrials{.level_max = 31, .trials = 16, .first = -0.5f};

}  // namespace

// d · scale · q is exact (11 + 6 + 5 significant bits), so the one rounding is that of
// the subtraction: a fused multiply-add decodes to the same bits.
void decode_q5_k(const std::byte* blocks, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; i += BlockQ5_K::kElements) {
    BlockQ5_K block;
    std::memcpy(&block, blocks, sizeof block);
    blocks += sizeof block;
    const k_affine::Factors f = k_affine::factors(block.d, block.dmin, block.scales);
    for (int s = 0; s < kSubBlocks; ++s) {
      const std::uint8_t* low = block.qs + s / 2 * kSubElements;
      float* y = out + i + s * kSubElements;
      const int shift = s % 2 * 4;
      for (int j = 0; j < kSubElements; ++j) {
        const int q = (low[j] >> shift & 15) | (block.qh[j] >> s & 1) << 4;
        y[j] = f.scale[s] * static_cast<float>(q) - f.min[s];
      }
    }
  }
}

BlockQ5_K pack_q5_k(const k_affine::Encoded& from) {
  BlockQ5_K block{.d = from.d, .dmin = from.dmin, .scales = {}, .qh = {}, .qs = {}};
  std::ranges::copy(from.scales, block.scales);
  for (int s = 0; s < kSubBlocks; ++s)
    for (int j = 0; j < kSubElements; ++j) {
      const int q = from.levels[s][j];
      std::uint8_t& low = block.qs[s / 2 * kSubElements + j];
      low = static_cast<std::uint8_t>(low | (q & 15) << (s % 2 * 4));
      block.qh[j] = static_cast<std::uint8_t>(block.qh[j] | (q >> 4) << s);
    }
  return block;
}

void encode_q5_k(const float* in, std::int64_t n, std::byte* blocks) {
  for (std::int64_t i = 0; i < n; i += BlockQ5_K::kElements) {
    const BlockQ5_K block = pack_q5_k(k_affine::encode_block(in + i, kTrials));
    std::memcpy(blocks, &block, sizeof block);
    blocks += sizeof block;
  }
}

}  // namespace ridgeline
