#pragma once

#include "ridgeline/quant/grid_search.h"
#include "ridgeline/quant/impl/f16_steps.h"
#include "ridgeline/quant/impl/levels.h"

// The scale of a symmetric sub-block: the s of least Σ w (x - s·q)², q the step nearest to
// x/s. Sixteen trials go side by side. Their sums are of what rounding leaves, e = x/s - q,
// in steps: for given q the error is least at s (1 + Σweq/Σwqq), where it is
// s² (Σwee - (Σweq)²/Σwqq); sums over x itself would cancel at 8 bits.
namespace ridgeline::RIDGELINE_ISA {
namespace {

constexpr float kNever = 3e38f;  // an error that any other is less than

struct SymmetricSums {
  WideF ee{}, eq{}, qq{};
};

template <class Steps, int kCount>
RIDGELINE_INLINE SymmetricSums symmetric_sums(const float* x, const float* weight, WideF inverse) {
  SymmetricSums sums;
  for (int i = 0; i < kCount; ++i) {
    const WideF v = inverse * x[i];
    const WideF q = Steps::nearest(v);
    const WideF e = v - q;
    const WideF we = e * weight[i];
    sums.ee += we * e;
    sums.eq += we * q;
    sums.qq += q * weight[i] * q;
  }
  return sums;
}

struct SymmetricFit {
  float scale = 0.0f;
  float error = 0.0f;
  float curvature = 0.0f;  ///< Σwqq: the error grows by it times the square of a change
};

/// Trials lay `extreme` (the greatest magnitude, with the sign that the scale is to have) on
/// kFirst, kFirst + kStep, ... steps, sixteen times kTrials; the best of each lane is then
/// refitted and rounded anew, kRefits times.
template <class Format>
SymmetricFit fit_scale(const float* x, const float* weight, float extreme) {
  using Steps = typename Format::Steps;
  constexpr int kCount = Format::kSubElements;
  WideF best_inverse = wide(1.0f / extreme), best_error = wide(kNever);
  for (int t = 0; t < Format::kTrials; ++t) {
    const WideF inverse =
        (Format::kFirst + Format::kStep * (ramp() + static_cast<float>(t * kWide))) / extreme;
    const SymmetricSums sums = symmetric_sums<Steps, kCount>(x, weight, inverse);
    const WideF ratio = sums.eq / sums.qq;
    const WideF error = (sums.ee - ratio * sums.eq) / (inverse * inverse);
    const WideI better = error < best_error;
    best_error = select(better, error, best_error);
    best_inverse = select(better, inverse / (1.0f + ratio), best_inverse);
  }
  WideF scale{}, curvature{};
  for (int round = 0; round < Format::kRefits; ++round) {
    const WideF inverse = best_inverse;
    const SymmetricSums sums = symmetric_sums<Steps, kCount>(x, weight, inverse);
    const WideF ratio = sums.eq / sums.qq;
    const WideF error = (sums.ee - ratio * sums.eq) / (inverse * inverse);
    best_error = lesser(error, wide(kNever));  // also for what is not a number
    best_inverse = inverse / (1.0f + ratio);
    scale = (1.0f + ratio) / inverse;
    curvature = sums.qq;
  }
  const int lane = least_lane(best_error);
  if (!(best_error[lane] < kNever)) return {0.0f, kNever, 0.0f};
  return {scale[lane], best_error[lane], curvature[lane]};
}

/// Σ w (x - s·q)² at sixteen given scales; `squares` is Σ w x².
template <class Format>
RIDGELINE_INLINE WideF errors_at(const float* x, const float* weight, float squares, WideF scale,
                                 SymmetricSums& sums) {
  const WideF inverse = select(scale != 0.0f, 1.0f / scale, WideF{});
  sums = symmetric_sums<typename Format::Steps, Format::kSubElements>(x, weight, inverse);
  return select(scale != 0.0f, sums.ee * scale * scale, wide(squares));
}

inline float weighted_squares(const float* x, const float* weight, int n) {
  float sum = 0.0f;
  for (int i = 0; i < n; ++i) sum += weight[i] * x[i] * x[i];
  return sum;
}

inline float greatest_magnitude(const float* x, int n) {
  float greatest = 0.0f;
  for (int i = 0; i < n; ++i) {
    const float magnitude = x[i] < 0.0f ? -x[i] : x[i];
    greatest = magnitude > greatest ? magnitude : greatest;
  }
  return greatest;
}

/// Q4_0, Q5_0, Q8_0 and IQ4_NL: one scale, which F16 rounds.
template <class Format>
void search_symmetric(const GridProblem& problem, GridChoice& choice) {
  const float *x = problem.x, *weight = problem.weight;
  const float extreme = greatest_magnitude(x, Format::kSubElements);
  if (extreme == 0.0f) return;
  SymmetricFit best = fit_scale<Format>(x, weight, extreme);
  if (!Format::Steps::kMirrored) {
    const SymmetricFit negative = fit_scale<Format>(x, weight, -extreme);
    if (negative.error < best.error) best = negative;
  }
  // The scale's neighbours in F16, and those that plain rounding takes: ± extreme / kTop.
  const F16Steps steps(best.scale * problem.unit);
  float candidates[kWide];
  for (int lane = 0; lane < kWide - 2; ++lane) candidates[lane] = steps.at(lane - 6);
  const F16Steps plain(extreme * problem.unit / static_cast<float>(Format::Steps::kTop));
  candidates[kWide - 2] = plain.at(0);
  candidates[kWide - 1] = -plain.at(0);
  SymmetricSums sums;
  const float squares = weighted_squares(x, weight, Format::kSubElements);
  const WideF errors = errors_at<Format>(x, weight, squares, load(candidates) / problem.unit, sums);
  choice.d = candidates[least_lane(errors)];
}

/// Whether another value of d is worth its search: where the error came out far from what the
/// curvatures foretold, with scales of few steps, their order of values is not to be trusted.
template <class Format>
bool more_tries(int rank, float foretold, float least) {
  constexpr int kTriesMax = 12;
  return rank < Format::kTries || (rank < kTriesMax && least < 0.97f * foretold);
}

/// Blocks of several sub-blocks whose scales are integers times d.
template <class Format>
struct SymmetricBlock {
  static constexpr int kSubBlocks = GridProblem::kElementsMax / Format::kSubElements;
  const GridProblem& problem;
  SymmetricFit fits[2][kSubBlocks];  ///< with positive and negative scale
  float squares[kSubBlocks];         ///< Σ w x²

  const float* x(int s) const { return problem.x + s * Format::kSubElements; }
  const float* weight(int s) const { return problem.weight + s * Format::kSubElements; }

  /// The greatest of the scales that the sub-blocks like best, and the greatest of the
  /// smaller ones: a lone large element suits -4·s and 3·(4/3 s) alike, all others prefer s.
  struct Range {
    float greatest = 0.0f, least = 0.0f;
  };
  Range fit() {
    Range range;
    for (int s = 0; s < kSubBlocks; ++s) {
      const float extreme = greatest_magnitude(x(s), Format::kSubElements);
      fits[0][s] = fits[1][s] = {};
      squares[s] = weighted_squares(x(s), weight(s), Format::kSubElements);
      if (extreme == 0.0f) continue;
      fits[0][s] = fit_scale<Format>(x(s), weight(s), extreme);
      fits[1][s] = fit_scale<Format>(x(s), weight(s), -extreme);
      const float positive = fits[0][s].scale, negative = -fits[1][s].scale;
      const float best = fits[1][s].error < fits[0][s].error ? negative : positive;
      const float smaller = positive < negative ? positive : negative;
      range.greatest = best > range.greatest ? best : range.greatest;
      range.least = smaller > range.least ? smaller : range.least;
    }
    return range;
  }

  /// What sixteen values of d would cost, as the curvatures foretell it.
  WideF foretold(WideF d) const {
    WideF total{};
    const WideF inverse = 1.0f / d;
    for (int s = 0; s < kSubBlocks; ++s) {
      WideF least = wide(kNever);
      for (const auto& side : fits) {
        const WideF k =
            rounded(clamped(inverse * side[s].scale, Format::kScaleLow, Format::kScaleHigh));
        const WideF off = d * k - side[s].scale;
        least = lesser(side[s].error + off * off * side[s].curvature, least);
      }
      total += least;
    }
    return total;
  }

  /// The best scales for this d, looked for around the rounded ones, and what they cost.
  /// `refitted` is the d that suits them and their levels best.
  float choose(float d, int* scales, float& refitted) const {
    float total = 0.0f, xq = 0.0f, qq = 0.0f;
    for (int s = 0; s < kSubBlocks; ++s) {
      float around[kWide];
      for (int half = 0; half < 2; ++half) {
        const float wanted = fits[half][s].scale / d;
        const float nearest = wanted > -1000.0f ? (wanted < 1000.0f ? wanted : 1000.0f) : -1000.0f;
        const auto middle = static_cast<float>(static_cast<int>(nearest));
        for (int lane = 0; lane < kWide / 2; ++lane)
          around[half * (kWide / 2) + lane] = middle + static_cast<float>(lane - 3);
      }
      const WideF k = clamped(load(around), Format::kScaleLow, Format::kScaleHigh);
      SymmetricSums sums;
      const WideF scale = d * k;
      const WideF errors = errors_at<Format>(x(s), weight(s), squares[s], scale, sums);
      const int lane = least_lane(errors);
      scales[s] = static_cast<int>(k[lane]);
      total += errors[lane];
      xq += k[lane] * scale[lane] * (sums.eq[lane] + sums.qq[lane]);
      qq += k[lane] * k[lane] * sums.qq[lane];
    }
    refitted = xq / qq;
    return total;
  }
};

/// Q3_K, Q6_K and IQ4_XS.
template <class Format>
void search_symmetric_block(const GridProblem& problem, GridChoice& choice) {
  SymmetricBlock<Format> block{problem, {}, {}};
  const auto range = block.fit();
  if (!(range.greatest > 0.0f)) return;

  // The greatest scale may come out anywhere from a little beyond the greatest integer
  // down to a little above half of it, with either sign.
  constexpr int kTrials = 4;
  constexpr float kTop = -Format::kScaleLow;
  WideF trials[kTrials], costs[kTrials];
  for (int t = 0; t < kTrials; ++t) {
    const float greatest = t / 2 == 0 ? range.greatest : range.least;
    const float first = t / 2 == 0 ? 33.0f : 32.5f;
    const WideF steps = (first - ramp()) * (kTop / 32);
    trials[t] = (t % 2 == 0 ? greatest : -greatest) / steps;
    costs[t] = greatest > 0.0f ? block.foretold(trials[t]) : wide(kNever);
  }
  float least = kNever, foretold = kNever;
  for (int rank = 0; more_tries<Format>(rank, foretold, least); ++rank) {
    int first = 0;
    for (int t = 1; t < kTrials; ++t)
      if (costs[t][least_lane(costs[t])] < costs[first][least_lane(costs[first])]) first = t;
    const int lane = least_lane(costs[first]);
    if (rank == 0) foretold = costs[first][lane];
    float d = trials[first][lane];
    costs[first] = select(ramp() == static_cast<float>(lane), wide(kNever), costs[first]);
    for (int round = 0; round < Format::kRounds; ++round) {
      d = storable(d, problem.unit);
      if (d == 0.0f) break;
      int scales[GridChoice::kSubBlocksMax];
      float refitted;
      const float error = block.choose(d, scales, refitted);
      if (error < least) {
        least = error;
        choice.d = d * problem.unit;
        for (int s = 0; s < block.kSubBlocks; ++s) choice.scale[s] = scales[s];
      }
      if (storable(refitted, problem.unit) == d) break;
      d = refitted;
    }
  }
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
