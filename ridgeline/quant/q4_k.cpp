#include "ridgeline/quant/q4_k.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/lanes.h"
#include "ridgeline/quant/rounding.h"

namespace ridgeline {
namespace {

using lanes::Float4;
using lanes::Int4;

constexpr int kLanes = 4;
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

/// Four sub-blocks, each as x ≈ scale · level + low, low <= 0.
struct Fit {
  Float4 scale{};
  Float4 low{};
  Int4 levels[kSubElements] = {};
};

/// Four sub-blocks with what the search needs of them: weights, that favour large
/// elements, Σ w and Σ w·x, and the range with zero inside.
struct Samples {
  Float4 x[kSubElements];
  Float4 weights[kSubElements];
  Float4 weight_sum, x_sum;
  Float4 min, max;
};

void prepare(const float* x, Samples& out) {
  Float4 square_sum{};
  for (int i = 0; i < kSubElements; ++i) {
    out.x[i] = lanes::gather(x, kSubElements, i);
    square_sum += out.x[i] * out.x[i];
  }
  Float4 rms = square_sum / static_cast<float>(kSubElements);
  for (int lane = 0; lane < kLanes; ++lane) rms[lane] = std::sqrt(rms[lane]);

  out.weight_sum = out.x_sum = Float4{};
  out.min = out.max = out.x[0];
  for (int i = 0; i < kSubElements; ++i) {
    out.weights[i] = rms + lanes::absolute(out.x[i]);
    out.weight_sum += out.weights[i];
    out.x_sum += out.weights[i] * out.x[i];
    out.min = lanes::select(out.x[i] < out.min, out.x[i], out.min);
    out.max = lanes::select(out.x[i] > out.max, out.x[i], out.max);
  }
  out.min = lanes::select(out.min > 0.0f, Float4{}, out.min);
}

Float4 weighted_error(const Samples& samples, const Fit& fit) {
  Float4 error{};
  for (int i = 0; i < kSubElements; ++i) {
    const Float4 diff = fit.scale * lanes::to_float(fit.levels[i]) + fit.low - samples.x[i];
    error += samples.weights[i] * (diff * diff);
  }
  return error;
}

void round_levels(const Samples& samples, Float4 low, Float4 inverse_scale, Fit& fit) {
  for (int i = 0; i < kSubElements; ++i)
    fit.levels[i] = lanes::round_to_level(inverse_scale * (samples.x[i] - low), 0, kLevelMax);
}

/// With the levels of `fit` given, the scale and offset of least weighted squared error
/// (2×2 normal equations). Returns where the levels determine them.
Int4 solve(const Samples& samples, Fit& fit) {
  Float4 sum_l{}, sum_l2{}, sum_xl{};
  for (int i = 0; i < kSubElements; ++i) {
    const Float4 l = lanes::to_float(fit.levels[i]);
    const Float4 wl = samples.weights[i] * l;
    sum_l += wl;
    sum_l2 += wl * l;
    sum_xl += wl * samples.x[i];
  }
  const Float4 determinant = samples.weight_sum * sum_l2 - sum_l * sum_l;
  fit.scale = (samples.weight_sum * sum_xl - samples.x_sum * sum_l) / determinant;
  fit.low = (sum_l2 * samples.x_sum - sum_l * sum_xl) / determinant;
  const Int4 above_zero = fit.low > 0.0f;  // the format can only subtract
  fit.low = lanes::select(above_zero, Float4{}, fit.low);
  fit.scale = lanes::select(above_zero, sum_xl / sum_l2, fit.scale);
  return determinant > 0.0f;
}

void replace(Int4 where, const Fit& from, Fit& fit) {
  fit.scale = lanes::select(where, from.scale, fit.scale);
  fit.low = lanes::select(where, from.low, fit.low);
  for (int i = 0; i < kSubElements; ++i)
    fit.levels[i] = lanes::select(where, from.levels[i], fit.levels[i]);
}

/// Tries 21 step widths around (max - min) / 15, refits scale and offset to the levels
/// that each gives, and keeps the best by Σ w·(error)².
Fit fit_sub_blocks(const float* x) {
  Samples samples;
  prepare(x, samples);
  const Float4 range = samples.max - samples.min;

  Fit best;
  best.low = samples.min;
  const Float4 inverse_scale = static_cast<float>(kLevelMax) / range;
  best.scale = 1.0f / inverse_scale;
  round_levels(samples, best.low, inverse_scale, best);
  Float4 best_error = weighted_error(samples, best);

  constexpr int kTrials = 21;
  Fit trial;
  for (int t = 0; t < kTrials; ++t) {
    const float steps = -1.0f + 0.1f * static_cast<float>(t) + static_cast<float>(kLevelMax);
    // The search starts from the lowest offset found so far, as the reference does.
    round_levels(samples, best.low, steps / (samples.max - best.low), trial);
    const Int4 solved = solve(samples, trial);
    const Float4 error = weighted_error(samples, trial);
    const Int4 better = solved & (error < best_error);
    if (!lanes::any(better)) continue;
    best_error = lanes::select(better, error, best_error);
    replace(better, trial, best);
  }

  // What has no spread is its offset alone; the search above divided by zero there.
  Fit constant;
  constant.low = samples.min;
  replace(range < 1e-10f, constant, best);
  return best;
}

void encode_block(const float* x, BlockQ4_K& block) {
  float scales[kSubBlocks], mins[kSubBlocks];
  std::uint8_t levels[kSubBlocks][kSubElements];
  for (int first = 0; first < kSubBlocks; first += kLanes) {
    const Fit fit = fit_sub_blocks(x + first * kSubElements);
    for (int lane = 0; lane < kLanes; ++lane) {
      scales[first + lane] = fit.scale[lane];
      mins[first + lane] = -fit.low[lane];
      for (int i = 0; i < kSubElements; ++i)
        levels[first + lane][i] = static_cast<std::uint8_t>(fit.levels[i][lane]);
    }
  }

  float scale_max = 0.0f, min_max = 0.0f;
  for (const float scale : scales) scale_max = std::max(scale_max, scale);
  for (const float min : mins) min_max = std::max(min_max, min);
  const float inverse_scale = scale_max > 0.0f ? kScaleMax / scale_max : 0.0f;
  const float inverse_min = min_max > 0.0f ? kScaleMax / min_max : 0.0f;
  ScalesQ4_K packed;
  for (int s = 0; s < kSubBlocks; ++s) {
    const int scale = rounding::round_half_even(inverse_scale * scales[s]);
    const int min = rounding::round_half_even(inverse_min * mins[s]);
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
      levels[s][i] = static_cast<std::uint8_t>(rounding::clamp(level, 0, kLevelMax));
    }
  }
  for (int s = 0; s < kSubBlocks; s += 2)
    for (int i = 0; i < kSubElements; ++i)
      block.qs[s / 2 * kSubElements + i] =
          static_cast<std::uint8_t>(levels[s][i] | levels[s + 1][i] << 4);
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
