#include "ridgeline/quant/q4_k.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/rounding.h"

namespace ridgeline {
namespace {

constexpr int kSubBlocks = BlockQ4_K::kSubBlocks;
constexpr int kSubElements = BlockQ4_K::kElements / kSubBlocks;
constexpr int kLevelMax = 15;
constexpr int kScaleMax = 63;

void pack_scales(const ScalesQ4_K& from, BlockQ4_K& block) {
  for (int s = 0; s < 4; ++s) {
    const int scale_high = from.scale[s + 4] >> 4;
    const int min_high = from.min[s + 4] >> 4;
    block.scales[s] = static_cast<std::uint8_t>(from.scale[s] | scale_high << 6);
    block.scales[s + 4] = static_cast<std::uint8_t>(from.min[s] | min_high << 6);
    block.scales[s + 8] =
        static_cast<std::uint8_t>((from.scale[s + 4] & 15) | (from.min[s + 4] & 15) << 4);
  }
}

/// A sub-block as x ≈ scale · level + low, low <= 0.
struct Fit {
  float scale = 0.0f;
  float low = 0.0f;
  std::uint8_t levels[kSubElements] = {};
};

/// Σ w and Σ w·x of one sub-block, and its range with zero inside.
struct Moments {
  float weight_sum = 0.0f;
  float x_sum = 0.0f;
  float min = 0.0f;
  float max = 0.0f;
};

Moments moments(const float* x, const float* weights) {
  Moments m{weights[0], weights[0] * x[0], x[0], x[0]};
  for (int i = 1; i < kSubElements; ++i) {
    m.min = x[i] < m.min ? x[i] : m.min;
    m.max = x[i] > m.max ? x[i] : m.max;
    m.weight_sum += weights[i];
    m.x_sum += weights[i] * x[i];
  }
  m.min = m.min > 0.0f ? 0.0f : m.min;
  return m;
}

float weighted_error(const float* x, const float* weights, const Fit& fit) {
  float error = 0.0f;
  for (int i = 0; i < kSubElements; ++i) {
    const float diff = fit.scale * static_cast<float>(fit.levels[i]) + fit.low - x[i];
    error += weights[i] * (diff * diff);
  }
  return error;
}

void round_levels(const float* x, float low, float inverse_scale, std::uint8_t* levels) {
  for (int i = 0; i < kSubElements; ++i) {
    const int level = rounding::round_half_even(inverse_scale * (x[i] - low));
    levels[i] = static_cast<std::uint8_t>(rounding::clamp(level, 0, kLevelMax));
  }
}

/// With the levels of `fit` given, the scale and offset of least weighted squared error
/// (2×2 normal equations). False where the levels do not determine them.
bool solve(const float* x, const float* weights, const Moments& m, Fit& fit) {
  float sum_l = 0.0f, sum_l2 = 0.0f, sum_xl = 0.0f;
  for (int i = 0; i < kSubElements; ++i) {
    const float l = static_cast<float>(fit.levels[i]);
    const float wl = weights[i] * l;
    sum_l += wl;
    sum_l2 += wl * l;
    sum_xl += wl * x[i];
  }
  const float determinant = m.weight_sum * sum_l2 - sum_l * sum_l;
  if (!(determinant > 0.0f)) return false;
  fit.scale = (m.weight_sum * sum_xl - m.x_sum * sum_l) / determinant;
  fit.low = (sum_l2 * m.x_sum - sum_l * sum_xl) / determinant;
  if (fit.low > 0.0f) {  // the format can only subtract
    fit.low = 0.0f;
    fit.scale = sum_xl / sum_l2;
  }
  return true;
}

/// Tries 21 step widths around (max - min) / 15, refits scale and offset to the levels
/// that each gives, and keeps the best by Σ w·(error)². Weights favour large elements.
Fit fit_sub_block(const float* x) {
  float square_sum = 0.0f;
  for (int i = 0; i < kSubElements; ++i) square_sum += x[i] * x[i];
  const float rms = std::sqrt(square_sum / kSubElements);
  float weights[kSubElements];
  for (int i = 0; i < kSubElements; ++i) weights[i] = rms + std::fabs(x[i]);

  const Moments m = moments(x, weights);
  Fit best;
  best.low = m.min;
  const float range = m.max - m.min;
  if (range < 1e-10f) return best;

  const float inverse_scale = static_cast<float>(kLevelMax) / range;
  best.scale = 1.0f / inverse_scale;
  round_levels(x, m.min, inverse_scale, best.levels);
  float best_error = weighted_error(x, weights, best);

  constexpr int kTrials = 21;
  Fit trial;
  for (int t = 0; t < kTrials; ++t) {
    const float steps = -1.0f + 0.1f * static_cast<float>(t) + static_cast<float>(kLevelMax);
    // The search starts from the lowest offset found so far, as the reference does.
    round_levels(x, best.low, steps / (m.max - best.low), trial.levels);
    if (!solve(x, weights, m, trial)) continue;
    const float error = weighted_error(x, weights, trial);
    if (error < best_error) {
      best_error = error;
      best = trial;
    }
  }
  return best;
}

void encode_block(const float* x, BlockQ4_K& block) {
  Fit fits[kSubBlocks];
  float scale_max = 0.0f;
  float min_max = 0.0f;
  for (int s = 0; s < kSubBlocks; ++s) {
    fits[s] = fit_sub_block(x + s * kSubElements);
    scale_max = std::max(scale_max, fits[s].scale);
    min_max = std::max(min_max, -fits[s].low);
  }

  const float inverse_scale = scale_max > 0.0f ? kScaleMax / scale_max : 0.0f;
  const float inverse_min = min_max > 0.0f ? kScaleMax / min_max : 0.0f;
  ScalesQ4_K packed;
  for (int s = 0; s < kSubBlocks; ++s) {
    const int scale = rounding::round_half_even(inverse_scale * fits[s].scale);
    const int min = rounding::round_half_even(inverse_min * -fits[s].low);
    packed.scale[s] = static_cast<std::uint8_t>(rounding::clamp(scale, 0, kScaleMax));
    packed.min[s] = static_cast<std::uint8_t>(rounding::clamp(min, 0, kScaleMax));
  }
  block.d = f32_to_f16(scale_max / kScaleMax);
  block.dmin = f32_to_f16(min_max / kScaleMax);
  pack_scales(packed, block);

  // Scales and mins have been rounded, so the levels are chosen anew against them.
  for (int s = 0; s < kSubBlocks; ++s) {
    const float d = f16_to_f32(block.d) * static_cast<float>(packed.scale[s]);
    if (d == 0.0f) continue;
    const float min = f16_to_f32(block.dmin) * static_cast<float>(packed.min[s]);
    for (int i = 0; i < kSubElements; ++i) {
      const int level = rounding::round_half_even((x[s * kSubElements + i] + min) / d);
      fits[s].levels[i] = static_cast<std::uint8_t>(rounding::clamp(level, 0, kLevelMax));
    }
  }
  for (int s = 0; s < kSubBlocks; s += 2)
    for (int i = 0; i < kSubElements; ++i)
      block.qs[s / 2 * kSubElements + i] =
          static_cast<std::uint8_t>(fits[s].levels[i] | fits[s + 1].levels[i] << 4);
}

}  // namespace

ScalesQ4_K unpack_scales(const BlockQ4_K& block) {
  ScalesQ4_K out;
  for (int s = 0; s < 4; ++s) {
    const int first = block.scales[s], second = block.scales[s + 4], third = block.scales[s + 8];
    out.scale[s] = static_cast<std::uint8_t>(first & 63);
    out.min[s] = static_cast<std::uint8_t>(second & 63);
    out.scale[s + 4] = static_cast<std::uint8_t>((third & 15) | (first >> 6) << 4);
    out.min[s + 4] = static_cast<std::uint8_t>(third >> 4 | (second >> 6) << 4);
  }
  return out;
}

// d · scale · q is exact (11 + 6 + 4 significant bits), so the one rounding is that of
// the subtraction: a fused multiply-add decodes to the same bits.
void decode_q4_k(const std::byte* blocks, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; i += BlockQ4_K::kElements) {
    BlockQ4_K block;
    std::memcpy(&block, blocks, sizeof block);
    blocks += sizeof block;
    const ScalesQ4_K packed = unpack_scales(block);
    const float d = f16_to_f32(block.d);
    const float dmin = f16_to_f32(block.dmin);
    for (int s = 0; s < kSubBlocks; ++s) {
      const float scale = d * static_cast<float>(packed.scale[s]);
      const float min = dmin * static_cast<float>(packed.min[s]);
      const std::uint8_t* q = block.qs + s / 2 * kSubElements;
      float* y = out + i + s * kSubElements;
      const int shift = s % 2 * 4;
      for (int j = 0; j < kSubElements; ++j)
        y[j] = scale * static_cast<float>(q[j] >> shift & 15) - min;
    }
  }
}

void encode_q4_k(const float* in, std::int64_t n, std::byte* blocks) {
  for (std::int64_t i = 0; i < n; i += BlockQ4_K::kElements) {
    BlockQ4_K block;
    encode_block(in + i, block);
    std::memcpy(blocks, &block, sizeof block);
    blocks += sizeof block;
  }
}

}  // namespace ridgeline
