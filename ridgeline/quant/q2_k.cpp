#include "ridgeline/quant/q2_k.h"

#include <cstring>

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/isa.h"
#include "ridgeline/quant/k_affine.h"
#include "ridgeline/quant/rounding.h"
#include "ridgeline/quant/two_bits.h"

namespace ridgeline {
namespace {

constexpr int kSubBlocks = BlockQ2_K::kSubBlocks;
constexpr int kSubElements = BlockQ2_K::kElements / kSubBlocks;
constexpr int kLevelMax = 3;
constexpr int kScaleMax = 15;
constexpr StepTrials kTrials{
    .level_max = kLevelMax, .trials = 16, .first = -0.5f, .absolute_error = true};

struct Factors {
  float scale, min;
};
Factors factors(const BlockQ2_K& block, int s) {
  return {f16_to_f32(block.d) * static_cast<float>(block.scales[s] & 15),
          f16_to_f32(block.dmin) * static_cast<float>(block.scales[s] >> 4)};
}

void encode_block(const float* x, BlockQ2_K& block) {
  float scales[kSubBlocks], mins[kSubBlocks];
  std::uint8_t levels[BlockQ2_K::kElements];
  row_coders().fits.affine_16s(x, kTrials, scales, mins, levels);

  std::uint8_t scale_steps[kSubBlocks], min_steps[kSubBlocks];
  block.d =
      f32_to_f16(k_affine::round_to_steps(scales, kSubBlocks, kScaleMax, scale_steps) / kScaleMax);
  block.dmin =
      f32_to_f16(k_affine::round_to_steps(mins, kSubBlocks, kScaleMax, min_steps) / kScaleMax);
  for (int s = 0; s < kSubBlocks; ++s) {
    block.scales[s] = static_cast<std::uint8_t>(scale_steps[s] | min_steps[s] << 4);
    // Scale and min have been rounded, so the levels are chosen anew against them.
    const Factors f = factors(block, s);
    if (f.scale == 0.0f) continue;
    for (int i = s * kSubElements; i < (s + 1) * kSubElements; ++i)
      levels[i] = static_cast<std::uint8_t>(
          rounding::clamp(rounding::round_half_even((x[i] + f.min) / f.scale), 0, kLevelMax));
  }
  two_bits::pack(levels, block.qs);
}

}  // namespace

void unpack_q2_k_levels(const BlockQ2_K& block, std::uint8_t (&levels)[BlockQ2_K::kElements]) {
  two_bits::unpack(block.qs, levels);
}

// d · scale · q is exact (11 + 4 + 2 significant bits), so the one rounding is that of
// the subtraction.
void decode_q2_k(const std::byte* blocks, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; i += BlockQ2_K::kElements) {
    BlockQ2_K block;
    std::memcpy(&block, blocks, sizeof block);
    blocks += sizeof block;
    std::uint8_t levels[BlockQ2_K::kElements];
    unpack_q2_k_levels(block, levels);
    for (int s = 0; s < kSubBlocks; ++s) {
      const Factors f = factors(block, s);
      for (int j = s * kSubElements; j < (s + 1) * kSubElements; ++j)
        out[i + j] = f.scale * static_cast<float>(levels[j]) - f.min;
    }
  }
}

void encode_q2_k(const float* in, std::int64_t n, std::byte* blocks) {
  for (std::int64_t i = 0; i < n; i += BlockQ2_K::kElements) {
    BlockQ2_K block;
    encode_block(in + i, block);
    std::memcpy(blocks, &block, sizeof block);
    blocks += sizeof block;
  }
}

}  // namespace ridgeline
