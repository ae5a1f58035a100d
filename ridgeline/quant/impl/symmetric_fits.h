#pragma once

#include "ridgeline/quant/impl/lanes.h"
#include "ridgeline/quant/impl/levels.h"
#include "ridgeline/quant/impl/row_vectors.h"

// Plain rounding of Q3_K, Q6_K and the IQ4 types: scales of sub-blocks.
namespace ridgeline::RIDGELINE_ISA {
namespace {

using Sixteen = Lanes<16>;
constexpr int kSub = 16;
constexpr float kZeroBelow = 1e-15f;

/// Begins with the levels of scale -max / 4, then goes five times through the elements and
/// gives each the level that suits the scale of the others best, where that lowers
/// Σ x²·(error)². Σ w·x·l and Σ w·l·l with w = x² say all: the error is least at their
/// quotient, the scale.
void fit_q3_k(const float* from, float* scale, std::uint8_t* levels_to) {
  constexpr int kHalf = 4;  // signed levels are [-4, 3]
  WideF x[kSub];
  for (int i = 0; i < kSub; ++i) x[i] = Sixteen::gather(from, kSub, i);
  const WideF max = Sixteen::signed_absmax(x, kSub);
  WideI levels[kSub];
  WideF xl{}, l2{};
  const WideF inverse = static_cast<float>(-kHalf) / max;
  for (int i = 0; i < kSub; ++i) {
    levels[i] = Sixteen::round_to_level(inverse * x[i], -kHalf, kHalf - 1);
    const WideF l = to_float(levels[i]), w = x[i] * x[i];
    xl += w * x[i] * l;
    l2 += w * l * l;
  }
  for (int round = 0; round < 5; ++round) {
    WideI changed{};
    for (int i = 0; i < kSub; ++i) {
      const WideF w = x[i] * x[i], old = to_float(levels[i]);
      const WideF other_xl = xl - w * x[i] * old, other_l2 = l2 - w * old * old;
      const WideI level = Sixteen::round_to_level(x[i] * other_l2 / other_xl, -kHalf, kHalf - 1);
      const WideF l = to_float(level);
      const WideF new_xl = other_xl + w * x[i] * l, new_l2 = other_l2 + w * l * l;
      const WideI better = (other_xl > 0.0f) & (level != levels[i]) & (new_l2 > 0.0f) &
                           (new_xl * new_xl * l2 > xl * xl * new_l2);
      levels[i] = select(better, level, levels[i]);
      xl = select(better, new_xl, xl);
      l2 = select(better, new_l2, l2);
      changed |= better;
    }
    if (!Sixteen::any(changed)) break;
  }
  WideF fitted = select(l2 > 0.0f, xl / l2, WideF{});
  // Zeros: the search above divided by them. The reference stores the lowest level.
  const WideI zero = Sixteen::absolute(max) < kZeroBelow;
  fitted = select(zero, WideF{}, fitted);
  for (WideI& level : levels) level = select(zero, WideI{} - kHalf, level);
  store(fitted, scale);
  Sixteen::store_levels(levels, kSub, kHalf, levels_to);
}

/// x ≈ scale · level, with the weighted sums that the scale came from: for given levels
/// Σ w·(x - scale·l)² is least at scale = xl / l2, where it is Σ w·x² - gain. Weights are x².
struct Q6_KFit {
  WideI levels[kSub] = {};
  WideF l2{};  // Σ w·l·l
  WideF scale{};
  WideF gain{};  // xl² / l2, xl = Σ w·x·l
};

/// Tries 19 step widths around -max / 32, which puts the extreme element near level -32,
/// and keeps the best by Σ x²·(error)².
void fit_q6_k(const float* from, float* scale, std::uint8_t* levels_to) {
  constexpr int kHalf = 32;  // signed levels are [-32, 31]
  WideF x[kSub];
  for (int i = 0; i < kSub; ++i) x[i] = Sixteen::gather(from, kSub, i);
  const WideF max = Sixteen::signed_absmax(x, kSub);
  const auto fit_with = [&](WideF inverse_scale, Q6_KFit& fit) {
    WideF xl{};
    fit.l2 = WideF{};
    for (int i = 0; i < kSub; ++i) {
      fit.levels[i] = Sixteen::round_to_level(inverse_scale * x[i], -kHalf, kHalf - 1);
      const WideF l = to_float(fit.levels[i]);
      const WideF weight = x[i] * x[i];
      xl += weight * x[i] * l;
      fit.l2 += weight * l * l;
    }
    fit.scale = select(fit.l2 != 0.0f, xl / fit.l2, WideF{});
    fit.gain = fit.scale * xl;
    return xl;
  };
  const auto replace = [](WideI where, const Q6_KFit& with, Q6_KFit& fit) {
    fit.l2 = select(where, with.l2, fit.l2);
    fit.scale = select(where, with.scale, fit.scale);
    fit.gain = select(where, with.gain, fit.gain);
    for (int i = 0; i < kSub; ++i) fit.levels[i] = select(where, with.levels[i], fit.levels[i]);
  };
  Q6_KFit best, trial;
  fit_with(static_cast<float>(-kHalf) / max, best);
  for (int t = -9; t <= 9; ++t) {
    if (t == 0) continue;
    const WideF xl = fit_with(-(kHalf + 0.1f * static_cast<float>(t)) / max, trial);
    const WideI better = (trial.l2 > 0.0f) & (xl * xl > best.gain * trial.l2);
    if (Sixteen::any(better)) replace(better, trial, best);
  }
  // Zeros: the search above divided by them. Such a sub-block has scale 0, so its level could
  // be any; the reference stores 0.
  replace(Sixteen::absolute(max) < kZeroBelow, Q6_KFit{}, best);
  for (WideI& level : best.levels) level += select(best.l2 == 0.0f, WideI{}, WideI{} + kHalf);
  store(best.scale, scale);
  Sixteen::store_levels(best.levels, kSub, 0, levels_to);
}

/// Fifteen trials around the one that puts the extreme element on -127, each refitted to its
/// codes; the best by Σ x²·(error)². The trials go side by side, the first one with them.
float fit_iq4(const float* x) {
  constexpr int kTrials = 7;
  constexpr auto kLowest = static_cast<float>(iq4::kValues[0]);
  const float max = signed_absmax(x);
  if (!(__builtin_fabsf(max) >= kZeroBelow)) return 0.0f;
  float inverse[kWide];
  for (int t = 0; t < kWide - 1; ++t)
    inverse[t] = static_cast<float>(t - kTrials + iq4::kValues[0]) / max;
  inverse[kWide - 1] = 1.0f / (-max / kLowest);
  WideF xq{}, q2{};  // Σ w·x·q and Σ w·q·q, where w = x²
  for (int i = 0; i < iq4::kBlock; ++i) {
    const WideF q = CodebookSteps::nearest(load(inverse) * x[i]);
    const float weight = x[i] * x[i];
    xq += weight * q * x[i];
    q2 += weight * q * q;
  }
  float scale = q2[kWide - 1] > 0.0f ? xq[kWide - 1] / q2[kWide - 1] : 0.0f;
  float gain = scale * xq[kWide - 1];
  for (int t = 0; t < kWide - 1; ++t) {
    if (!(q2[t] > 0.0f && xq[t] * xq[t] > gain * q2[t])) continue;
    scale = xq[t] / q2[t];
    gain = scale * xq[t];
  }
  return scale;
}

void iq4_codes(const float* x, float inverse, std::uint8_t* codes) {
  for (int i = 0; i < iq4::kBlock; i += kWide)
    store_bytes(CodebookSteps::code(load(x + i) * inverse), codes + i);
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
