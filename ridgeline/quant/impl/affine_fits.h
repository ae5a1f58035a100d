#pragma once

#include "ridgeline/quant/impl/lanes.h"
#include "ridgeline/quant/sub_block_fits.h"

// Plain rounding of Q2_K, Q4_K and Q5_K: scale and offset of N sub-blocks of kCount elements.
namespace ridgeline::RIDGELINE_ISA {
namespace {

template <int N, int kCount>
struct AffineFits {
  using L = Lanes<N>;
  using F = typename L::F;
  using I = typename L::I;

  /// Each sub-block as x ≈ scale · level + low, low <= 0.
  struct Fit {
    F scale{};
    F low{};
    I levels[kCount] = {};
  };

  const StepTrials& search;
  F x[kCount];
  F weights[kCount];  // favour large elements
  F weight_sum{}, x_sum{};
  F min, max;  // the range, with zero inside

  AffineFits(const float* from, const StepTrials& s) : search(s) {
    F square_sum{};
    for (int i = 0; i < kCount; ++i) {
      x[i] = L::gather(from, kCount, i);
      square_sum += x[i] * x[i];
    }
    F base = square_sum / static_cast<float>(kCount);
    float lanes[N];
    store(base, lanes);
    for (float& lane : lanes) lane = search.absolute_error ? 0.0f : __builtin_sqrtf(lane);
    base = load<F>(lanes);
    min = max = x[0];
    for (int i = 0; i < kCount; ++i) {
      weights[i] = base + L::absolute(x[i]);
      weight_sum += weights[i];
      x_sum += weights[i] * x[i];
      min = select(x[i] < min, x[i], min);
      max = select(x[i] > max, x[i], max);
    }
    min = select(min > 0.0f, F{}, min);
  }

  RIDGELINE_INLINE F weighted_error(const Fit& fit) const {
    F error{};
    for (int i = 0; i < kCount; ++i) {
      const F diff = fit.scale * L::to_float(fit.levels[i]) + fit.low - x[i];
      error += weights[i] * (search.absolute_error ? L::absolute(diff) : diff * diff);
    }
    return error;
  }

  RIDGELINE_INLINE void round_levels(F low, F inverse_scale, Fit& fit) const {
    for (int i = 0; i < kCount; ++i)
      fit.levels[i] = L::round_to_level(inverse_scale * (x[i] - low), 0, search.level_max);
  }

  /// With the levels of `fit` given, the scale and offset of least weighted squared error
  /// (2×2 normal equations). Returns where the levels determine them.
  RIDGELINE_INLINE I solve(Fit& fit) const {
    F sum_l{}, sum_l2{}, sum_xl{};
    for (int i = 0; i < kCount; ++i) {
      const F l = L::to_float(fit.levels[i]);
      const F wl = weights[i] * l;
      sum_l += wl;
      sum_l2 += wl * l;
      sum_xl += wl * x[i];
    }
    const F determinant = weight_sum * sum_l2 - sum_l * sum_l;
    fit.scale = (weight_sum * sum_xl - x_sum * sum_l) / determinant;
    fit.low = (sum_l2 * x_sum - sum_l * sum_xl) / determinant;
    const I above_zero = fit.low > 0.0f;  // the format can only subtract
    fit.low = select(above_zero, F{}, fit.low);
    fit.scale = select(above_zero, sum_xl / sum_l2, fit.scale);
    return determinant > 0.0f;
  }

  RIDGELINE_INLINE static void replace(I where, const Fit& from, Fit& fit) {
    fit.scale = select(where, from.scale, fit.scale);
    fit.low = select(where, from.low, fit.low);
    for (int i = 0; i < kCount; ++i) fit.levels[i] = select(where, from.levels[i], fit.levels[i]);
  }

  /// Tries step widths around (max - min) / level_max, refits scale and offset to the
  /// levels that each gives, and keeps the best.
  void fit(Fit& best) const {
    const F range = max - min;
    const auto level_max = static_cast<float>(search.level_max);
    best.low = min;
    const F inverse_scale = level_max / range;
    best.scale = 1.0f / inverse_scale;
    round_levels(best.low, inverse_scale, best);
    F best_error = weighted_error(best);

    Fit trial;
    for (int t = 0; t < search.trials; ++t) {
      const float steps = search.first + 0.1f * static_cast<float>(t) + level_max;
      // The search starts from the lowest offset found so far, as the reference does.
      round_levels(best.low, steps / (max - best.low), trial);
      const I solved = solve(trial);
      const F error = weighted_error(trial);
      const I better = solved & (error < best_error);
      if (!L::any(better)) continue;
      best_error = select(better, error, best_error);
      replace(better, trial, best);
    }
    // What has no spread is its offset alone; the search above divided by zero there.
    Fit constant;
    constant.low = min;
    replace(range < 1e-10f, constant, best);
  }
};

template <int N, int kCount>
void fit_affine_sub_blocks(const float* x, const StepTrials& search, float* scale, float* min,
                           std::uint8_t* levels) {
  const AffineFits<N, kCount> fits(x, search);
  typename AffineFits<N, kCount>::Fit fit;
  fits.fit(fit);
  fit.low = -fit.low;
  store(fit.scale, scale);
  store(fit.low, min);
  Lanes<N>::store_levels(fit.levels, kCount, 0, levels);
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
