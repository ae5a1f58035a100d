#include "ridgeline/quant/k_affine.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/lanes.h"
#include "ridgeline/quant/rounding.h"

namespace ridgeline::k_affine {
namespace {

using lanes::Float4;
using lanes::Int4;

constexpr int kLanes = 4;
constexpr int kScaleMax = 63;

/// Four sub-blocks, each as x ≈ scale · level + low, low <= 0.
struct Fit {
  Float4 scale{};
  Float4 low{};
  Int4 levels[kSubElements] = {};
};

/// Four sub-blocks with what the search needs of them: weights, that favour large
/// elements, Σ w and Σ w·x, and the range with zero inside.
struct Samples {
  int n;
  bool absolute_error;
  Float4 x[kSubElements];
  Float4 weights[kSubElements];
  Float4 weight_sum, x_sum;
  Float4 min, max;
};

void prepare(const float* x, const Search& search, Samples& out) {
  out.n = search.elements;
  out.absolute_error = search.absolute_error;
  Float4 square_sum{};
  for (int i = 0; i < out.n; ++i) {
    out.x[i] = lanes::gather(x, out.n, i);
    square_sum += out.x[i] * out.x[i];
  }
  Float4 base = square_sum / static_cast<float>(out.n);
  for (int lane = 0; lane < kLanes; ++lane)
    base[lane] = out.absolute_error ? 0.0f : std::sqrt(base[lane]);

  out.weight_sum = out.x_sum = Float4{};
  out.min = out.max = out.x[0];
  for (int i = 0; i < out.n; ++i) {
    out.weights[i] = base + lanes::absolute(out.x[i]);
    out.weight_sum += out.weights[i];
    out.x_sum += out.weights[i] * out.x[i];
    out.min = lanes::select(out.x[i] < out.min, out.x[i], out.min);
    out.max = lanes::select(out.x[i] > out.max, out.x[i], out.max);
  }
  out.min = lanes::select(out.min > 0.0f, Float4{}, out.min);
}

Float4 weighted_error(const Samples& samples, const Fit& fit) {
  Float4 error{};
  for (int i = 0; i < samples.n; ++i) {
    const Float4 diff = fit.scale * lanes::to_float(fit.levels[i]) + fit.low - samples.x[i];
    error += samples.weights[i] * (samples.absolute_error ? lanes::absolute(diff) : diff * diff);
  }
  return error;
}

void round_levels(const Samples& samples, Float4 low, Float4 inverse_scale, int level_max,
                  Fit& fit) {
  for (int i = 0; i < samples.n; ++i)
    fit.levels[i] = lanes::round_to_level(inverse_scale * (samples.x[i] - low), 0, level_max);
}

/// With the levels of `fit` given, the scale and offset of least weighted squared error
/// (2×2 normal equations). Returns where the levels determine them.
Int4 solve(const Samples& samples, Fit& fit) {
  Float4 sum_l{}, sum_l2{}, sum_xl{};
  for (int i = 0; i < samples.n; ++i) {
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

/// Tries step widths around (max - min) / level_max, refits scale and offset to the
/// levels that each gives, and keeps the best.
Fit fit_sub_blocks(const float* x, const Search& search) {
  Samples samples;
  prepare(x, search, samples);
  const Float4 range = samples.max - samples.min;
  const auto level_max = static_cast<float>(search.level_max);

  Fit best;
  best.low = samples.min;
  const Float4 inverse_scale = level_max / range;
  best.scale = 1.0f / inverse_scale;
  round_levels(samples, best.low, inverse_scale, search.level_max, best);
  Float4 best_error = weighted_error(samples, best);

  Fit trial;
  for (int t = 0; t < search.trials; ++t) {
    const float steps = search.first + 0.1f * static_cast<float>(t) + level_max;
    // The search starts from the lowest offset found so far, as the reference does.
    round_levels(samples, best.low, steps / (samples.max - best.low), search.level_max, trial);
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

FourFits fit_four(const float* x, const Search& search) {
  const Fit fit = fit_sub_blocks(x, search);
  FourFits out;
  for (int lane = 0; lane < kLanes; ++lane) {
    out.scale[lane] = fit.scale[lane];
    out.min[lane] = -fit.low[lane];
    for (int i = 0; i < search.elements; ++i)
      out.levels[lane][i] = static_cast<std::uint8_t>(fit.levels[i][lane]);
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

Encoded encode_block(const float* x, const Search& search) {
  Encoded block;
  float scales[kSubBlocks], mins[kSubBlocks];
  for (int first = 0; first < kSubBlocks; first += kLanes) {
    const FourFits fits = fit_four(x + first * kSubElements, search);
    std::ranges::copy(fits.scale, scales + first);
    std::ranges::copy(fits.min, mins + first);
    std::memcpy(block.levels[first], fits.levels, sizeof fits.levels);
  }

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
          rounding::clamp(rounding::round_half_even(level), 0, search.level_max));
    }
  }
  return block;
}

}  // namespace ridgeline::k_affine
