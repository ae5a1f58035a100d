#include "ridgeline/quant/k_affine.h"

#include <algorithm>

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/isa.h"
#include "ridgeline/quant/rounding.h"

namespace ridgeline::k_affine {
namespace {

constexpr int kScaleMax = 63;

}  // namespace

Scales unpack_scales(const PackedScales& packed) {
  Scales out;
  for (int s = 0; s < 4; ++s) {
    const int first = packed[s], second = packed[s + 4], third = packed[s + 8];
    out.scale[s] = static_cast<std::uint8_t>(first & 63);
    out.min[s] = static_cast<std::uint8_t>(second & 63);
    out.scale[s + 4] = static_cast<std::uint8_t>((third & 15) | (first >> 6) << 4);
    out.min[s + 4] = static_cast<std::uint8_t>(third >> 4 | (second >> 6) << 4);
  }
  return out;
}

void pack_scales(const Scales& from, PackedScales& packed) {
  for (int s = 0; s < 4; ++s) {
    const int scale_high = from.scale[s + 4] >> 4;
    const int min_high = from.min[s + 4] >> 4;
    packed[s] = static_cast<std::uint8_t>(from.scale[s] | scale_high << 6);
    packed[s + 4] = static_cast<std::uint8_t>(from.min[s] | min_high << 6);
    packed[s + 8] =
        static_cast<std::uint8_t>((from.scale[s + 4] & 15) | (from.min[s + 4] & 15) << 4);
  }
}

Factors factors(std::uint16_t d, std::uint16_t dmin, const PackedScales& packed) {
  const Scales scales = unpack_scales(packed);
  Factors out;
  for (int s = 0; s < kSubBlocks; ++s) {
    out.scale[s] = f16_to_f32(d) * static_cast<float>(scales.scale[s]);
    out.min[s] = f16_to_f32(dmin) * static_cast<float>(scales.min[s]);
  }
  return out;
}

float round_to_steps(const float* from, int n, int top, std::uint8_t* to) {
  float greatest = 0.0f;
  for (int i = 0; i < n; ++i) greatest = std::max(greatest, from[i]);
  const float inverse = greatest > 0.0f ? static_cast<float>(top) / greatest : 0.0f;
  for (int i = 0; i < n; ++i) {
    const int steps = rounding::round_half_even(inverse * from[i]);
    to[i] = static_cast<std::uint8_t>(rounding::clamp(steps, 0, top));
  }
  return greatest;
}

Encoded encode_block(const float* x, const StepTrials& trials) {
  Encoded block;
  float scales[kSubBlocks], mins[kSubBlocks];
  row_coders().fits.affine_32s(x, trials, scales, mins, block.levels[0]);

  Scales rounded;
  block.d = f32_to_f16(round_to_steps(scales, kSubBlocks, kScaleMax, rounded.scale) / kScaleMax);
  block.dmin = f32_to_f16(round_to_steps(mins, kSubBlocks, kScaleMax, rounded.min) / kScaleMax);
  pack_scales(rounded, block.scales);

  // Scales and mins have been rounded, so the levels are chosen anew against them.
  const Factors stored = factors(block.d, block.dmin, block.scales);
  for (int s = 0; s < kSubBlocks; ++s) {
    if (stored.scale[s] == 0.0f) continue;
    for (int i = 0; i < kSubElements; ++i) {
      const float level = (x[s * kSubElements + i] + stored.min[s]) / stored.scale[s];
      block.levels[s][i] = static_cast<std::uint8_t>(
          rounding::clamp(rounding::round_half_even(level), 0, trials.level_max));
    }
  }
  return block;
}

}  // namespace ridgeline::k_affine
