#pragma once

#include <span>
#include <vector>

namespace ridgeline {

/// Something measured at a length.
struct GrowthPoint {
  double length = 0;   ///< tokens
  double seconds = 0;  ///< > 0
};

/// How a time grows with a length, fitted to what was measured:
///
///     seconds = constant + linear * length + quadratic * length^2
///
/// No coefficient is negative, so that what is extrapolated never falls or turns. Relative
/// errors are what is made small: a point of a millisecond counts as much as one of a second.
struct GrowthFit {
  double constant = 0, linear = 0, quadratic = 0;

  double seconds(double length) const { return constant + (linear + quadratic * length) * length; }
  /// Of `steps` steps, the first at length `first`, each one longer than that before it.
  double sum(double first, double steps) const;
};

/// Of work that is proportional to a length and, where each position looks at all others, to its
/// square: a forward pass over a whole sequence. Of one point: proportional.
GrowthFit fit_pass(std::span<const GrowthPoint> points);
/// Of a step that does the same for every token and then looks at all positions: decoding.
/// Of one point: constant.
GrowthFit fit_step(std::span<const GrowthPoint> points);

/// The exponent b of seconds ~ length^b, by least squares over logarithms. At least two lengths.
double growth_exponent(std::span<const GrowthPoint> points);

}  // namespace ridgeline
