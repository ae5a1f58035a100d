#pragma once

#include "ridgeline/quant/impl/symmetric_search.h"

// Scale and offset of a sub-block whose levels are 0 .. kLevelMax: the s and o of least
// Σ w (x - s·l - o)². As in the symmetric search, sixteen trials go side by side, and their
// sums are of what rounding leaves, e = (x - o)/s - l: for given l the error is least at
// s (1 + α) and o + s β, where α and β solve
//
//   Σwll  Σwl   α     Σwel
//   Σwl   Σw    β  =  Σwe
namespace ridgeline::RIDGELINE_ISA {
namespace {

struct AffineSums {
  WideF ee{}, el{}, e{}, l{}, ll{};
};

/// With x/s - o/s = inverse · x + shift.
template <class Format>
RIDGELINE_INLINE AffineSums affine_sums(const float* x, const float* weight, WideF inverse,
                                        WideF shift) {
  AffineSums sums;
  for (int i = 0; i < Format::kSubElements; ++i) {
    const WideF v = inverse * x[i] + shift;
    const WideF l = rounded(clamped(v, 0.0f, static_cast<float>(Format::kLevelMax)));
    const WideF e = v - l;
    const WideF we = e * weight[i], wl = l * weight[i];
    sums.ee += we * e;
    sums.el += we * l;
    sums.e += we;
    sums.l += wl;
    sums.ll += wl * l;
  }
  return sums;
}

/// What all trials of a sub-block share.
struct Moments {
  float w = 0.0f, wx = 0.0f, wxx = 0.0f;
};
inline Moments moments(const float* x, const float* weight, int n) {
  Moments m;
  for (int i = 0; i < n; ++i) {
    m.w += weight[i];
    m.wx += weight[i] * x[i];
    m.wxx += weight[i] * x[i] * x[i];
  }
  return m;
}

/// Sixteen refits.
struct AffineTrials {
  WideF scale, offset, error;
  WideF l, ll;
};

/// Rounds with the given trials and refits scale and offset to the levels. Where kBelowZero,
/// an offset that comes out above zero becomes zero, and the scale alone is fitted.
template <class Format>
RIDGELINE_INLINE AffineTrials refit(const float* x, const float* weight, const Moments& m,
                                    WideF inverse, WideF shift) {
  const AffineSums sums = affine_sums<Format>(x, weight, inverse, shift);
  const WideF determinant = sums.ll * m.w - sums.l * sums.l;
  const WideF alpha = (sums.el * m.w - sums.e * sums.l) / determinant;
  const WideF beta = (sums.ll * sums.e - sums.l * sums.el) / determinant;
  AffineTrials trials;
  trials.scale = (1.0f + alpha) / inverse;
  trials.offset = (beta - shift) / inverse;
  trials.error = (sums.ee - alpha * sums.el - beta * sums.e) / (inverse * inverse);
  trials.l = sums.l;
  trials.ll = sums.ll;
  // Levels that are all alike, or nearly, do not determine both.
  trials.error = select(determinant > 1e-4f * sums.ll * m.w, trials.error, wide(kNever));
  if (Format::kBelowZero) {
    const WideF xl = (sums.el + sums.ll - shift * sums.l) / inverse;
    const WideI alone = (trials.offset > 0.0f) | (trials.error >= kNever);
    const WideF scale = xl / sums.ll;
    trials.scale = select(alone, scale, trials.scale);
    trials.error = select(alone, m.wxx - scale * xl, trials.error);
    trials.offset = select(alone, WideF{}, trials.offset);
  }
  trials.error = select(trials.scale > 0.0f, lesser(trials.error, wide(kNever)), wide(kNever));
  return trials;
}

struct AffineFit {
  float scale = 0.0f, offset = 0.0f;
  float error = 0.0f;
  float l = 0.0f, ll = 0.0f;  ///< Σwl, Σwll: how the error grows (`foretold` below)
  Moments m;
};

/// Trials move both ends of the range inwards by kFirst, kFirst + kStep, ... steps, four
/// times kTrials ends above by four below; the best of each lane is refitted kRefits times.
template <class Format>
AffineFit fit_affine(const float* x, const float* weight) {
  AffineFit fit;
  fit.m = moments(x, weight, Format::kSubElements);
  float low = x[0], high = x[0];
  for (int i = 1; i < Format::kSubElements; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
  }
  if (Format::kBelowZero && low > 0.0f) low = 0.0f;
  const float step = (high - low) / static_cast<float>(Format::kLevelMax);
  if (!(step > 0.0f)) {  // a constant is its offset alone
    fit.offset = low;
    return fit;
  }
  const WideF at = ramp();
  const WideF quarter = rounded((at - 1.5f) * 0.25f);  // lane / 4
  const WideF rest = at - 4.0f * quarter;

  AffineTrials best;
  best.error = wide(kNever);
  best.scale = wide(step);
  best.offset = wide(low);
  for (int t = 0; t < Format::kTrials * Format::kTrials; ++t) {
    const auto below = static_cast<float>(4 * (t / Format::kTrials));
    const auto above = static_cast<float>(4 * (t % Format::kTrials));
    const WideF offset = low + step * (Format::kFirst + Format::kStep * (quarter + below));
    const WideF top = high - step * (Format::kFirst + Format::kStep * (rest + above));
    const WideF inverse = static_cast<float>(Format::kLevelMax) / (top - offset);
    const AffineTrials trials = refit<Format>(x, weight, fit.m, inverse, -offset * inverse);
    const WideI better = trials.error < best.error;
    best.error = select(better, trials.error, best.error);
    best.scale = select(better, trials.scale, best.scale);
    best.offset = select(better, trials.offset, best.offset);
  }
  for (int round = 0; round < Format::kRefits; ++round) {
    const WideF inverse = 1.0f / best.scale;
    best = refit<Format>(x, weight, fit.m, inverse, -best.offset * inverse);
  }
  const int lane = least_lane(best.error);
  if (!(best.error[lane] < kNever)) {  // all weight on what one level covers
    fit.scale = step;
    fit.offset = low;
    fit.error = fit.m.wxx;
    return fit;
  }
  fit.scale = best.scale[lane];
  fit.offset = best.offset[lane];
  fit.error = best.error[lane];
  fit.l = best.l[lane];
  fit.ll = best.ll[lane];
  return fit;
}

/// Σ w (x - s·l - o)² at sixteen given scales and offsets.
template <class Format>
RIDGELINE_INLINE WideF errors_at(const float* x, const float* weight, const Moments& m, WideF scale,
                                 WideF offset, AffineSums& sums) {
  const WideI some = scale != 0.0f;
  const WideF inverse = select(some, 1.0f / scale, WideF{});
  sums = affine_sums<Format>(x, weight, inverse, -offset * inverse);
  return select(some, sums.ee * scale * scale,
                m.wxx - 2.0f * offset * m.wx + offset * offset * m.w);
}

/// Q4_1 and Q5_1: F16 rounds scale and offset.
template <class Format>
void search_affine(const GridProblem& problem, GridChoice& choice) {
  const float *x = problem.x, *weight = problem.weight;
  const AffineFit fit = fit_affine<Format>(x, weight);
  const F16Steps scale(fit.scale * problem.unit), offset(fit.offset * problem.unit);
  float scales[kWide], offsets[kWide];
  for (int lane = 0; lane < kWide - 1; ++lane) {
    scales[lane] = scale.at(lane / 4 - 2);
    offsets[lane] = offset.at(lane % 4 - 1);
  }
  // What plain rounding takes.
  float low = x[0], high = x[0];
  for (int i = 1; i < Format::kSubElements; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
  }
  scales[kWide - 1] =
      F16Steps((high - low) / static_cast<float>(Format::kLevelMax) * problem.unit).at(0);
  offsets[kWide - 1] = F16Steps(low * problem.unit).at(0);
  AffineSums sums;
  const WideF errors = errors_at<Format>(x, weight, fit.m, load(scales) / problem.unit,
                                         load(offsets) / problem.unit, sums);
  const int lane = least_lane(errors);
  choice.d = scales[lane];
  choice.dmin = -offsets[lane];
}

/// Eight or sixteen sub-blocks whose scales and offsets are integers times d and -dmin.
template <class Format>
struct AffineBlock {
  static constexpr int kSubBlocks = GridProblem::kElementsMax / Format::kSubElements;
  static constexpr auto kTop = static_cast<float>(Format::kScaleMax);
  const GridProblem& problem;
  AffineFit fits[kSubBlocks];

  const float* x(int s) const { return problem.x + s * Format::kSubElements; }
  const float* weight(int s) const { return problem.weight + s * Format::kSubElements; }

  /// What sixteen values of d would cost with one of dmin, as the curvatures foretell it: of
  /// a sub-block, α² Σwll + 2αβ Σwl + β² Σw for changes of scale and offset by α and β.
  WideF foretold(WideF d, float dmin) const {
    WideF total{};
    const WideF inverse = 1.0f / d;
    const float inverse_min = dmin > 0.0f ? 1.0f / dmin : 0.0f;
    for (const AffineFit& fit : fits) {
      const float slope = fit.m.w > 0.0f ? fit.l / fit.m.w : 0.0f;
      const WideF wanted = inverse * fit.scale;
      const WideF down = rounded(wanted - 0.5f);
      WideF least = wide(kNever);
      for (int up = 0; up < 2; ++up) {
        const WideF k = clamped(down + static_cast<float>(up), 0.0f, kTop);
        const WideF alpha = d * k - fit.scale;
        const WideF offset = fit.offset - slope * alpha;
        const WideF min = rounded(clamped(-offset * inverse_min, 0.0f, kTop));
        const WideF beta = -dmin * min - fit.offset;
        least = lesser(alpha * alpha * fit.ll + 2.0f * alpha * beta * fit.l + beta * beta * fit.m.w,
                       least);
      }
      total += least + fit.error;
    }
    return total;
  }

  struct Choice {
    float d, dmin;
    int scale[kSubBlocks], min[kSubBlocks];
    float error;
  };

  /// The best integers for given d and dmin, looked for around the rounded ones, and what they
  /// cost; `refitted` gets the d and dmin that suit them and their levels best.
  Choice choose(float d, float dmin, Choice& refitted) const {
    Choice out{d, dmin, {}, {}, 0.0f};
    float a = 0.0f, b = 0.0f, c = 0.0f, p = 0.0f, q = 0.0f;  // [a b; b c] [d dmin] = [p q]
    for (int s = 0; s < kSubBlocks; ++s) {
      const AffineFit& fit = fits[s];
      const float slope = fit.m.w > 0.0f ? fit.l / fit.m.w : 0.0f;
      const WideF at = ramp();
      const WideF quarter = rounded((at - 1.5f) * 0.25f);
      const WideF wanted = wide(d > 0.0f ? fit.scale / d : 0.0f);
      const WideF k =
          clamped(rounded(clamped(wanted, 0.0f, 1000.0f) - 0.5f) + quarter - 1.0f, 0.0f, kTop);
      const WideF offset = fit.offset - slope * (d * k - fit.scale);
      const WideF wanted_min = dmin > 0.0f ? -offset / dmin : WideF{};
      const WideF min =
          clamped(rounded(clamped(wanted_min, 0.0f, 1000.0f) - 0.5f) + (at - 4.0f * quarter) - 1.0f,
                  0.0f, kTop);
      const WideF scale = d * k;
      AffineSums sums;
      const WideF errors = errors_at<Format>(x(s), weight(s), fit.m, scale, -dmin * min, sums);
      const int lane = least_lane(errors);
      const float kk = k[lane], mm = min[lane], l = sums.l[lane], ll = sums.ll[lane];
      out.scale[s] = static_cast<int>(kk);
      out.min[s] = static_cast<int>(mm);
      out.error += errors[lane];
      if (kk > 0.0f) {
        // Σwxl, of x = s (e + l) + o.
        const float xl = scale[lane] * (sums.el[lane] + ll) - dmin * mm * l;
        a += kk * kk * ll;
        b -= kk * mm * l;
        p += kk * xl;
      }
      c += mm * mm * fit.m.w;
      q -= mm * fit.m.wx;
    }
    const float determinant = a * c - b * b;
    refitted.d = determinant > 1e-6f * a * c ? (c * p - b * q) / determinant : p / a;
    refitted.dmin = determinant > 1e-6f * a * c ? (a * q - b * p) / determinant : dmin;
    return out;
  }
};

/// Q2_K, Q4_K and Q5_K.
template <class Format>
void search_affine_block(const GridProblem& problem, GridChoice& choice) {
  using Block = AffineBlock<Format>;
  Block block{problem, {}};
  float scale = 0.0f, min = 0.0f;
  for (int s = 0; s < block.kSubBlocks; ++s) {
    const AffineFit fit = fit_affine<Format>(block.x(s), block.weight(s));
    block.fits[s] = fit;
    scale = fit.scale > scale ? fit.scale : scale;
    min = -fit.offset > min ? -fit.offset : min;
  }

  // The greatest scale and the greatest offset may come out from a little beyond the greatest
  // integer down to three quarters of it.
  const WideF steps = Block::kTop * (1.03f - ramp() * (0.28f / 15));
  const WideF trials = (scale > 0.0f ? scale : 1.0f) / steps;
  WideF costs[kWide];
  for (int t = 0; t < kWide; ++t) costs[t] = block.foretold(trials, min / steps[t]);

  float least = kNever, foretold = kNever;
  for (int rank = 0; more_tries<Format>(rank, foretold, least); ++rank) {
    int first = 0;
    for (int t = 1; t < kWide; ++t)
      if (costs[t][least_lane(costs[t])] < costs[first][least_lane(costs[first])]) first = t;
    const int lane = least_lane(costs[first]);
    if (rank == 0) foretold = costs[first][lane];
    float d = trials[lane], dmin = min / steps[first];
    costs[first] = select(ramp() == static_cast<float>(lane), wide(kNever), costs[first]);
    for (int round = 0; round < Format::kRounds; ++round) {
      d = storable(d > 0.0f ? d : 0.0f, problem.unit);
      dmin = storable(dmin > 0.0f ? dmin : 0.0f, problem.unit);
      typename Block::Choice refitted{};
      const typename Block::Choice chosen = block.choose(d, dmin, refitted);
      if (chosen.error < least) {
        least = chosen.error;
        choice.d = d * problem.unit;
        choice.dmin = dmin * problem.unit;
        for (int s = 0; s < block.kSubBlocks; ++s) {
          choice.scale[s] = chosen.scale[s];
          choice.min[s] = chosen.min[s];
        }
      }
      d = refitted.d;
      dmin = refitted.dmin;
    }
  }
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
