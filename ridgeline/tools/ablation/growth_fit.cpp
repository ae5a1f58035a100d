#include "ridgeline/tools/ablation/growth_fit.h"

#include <cmath>
#include <utility>

#include "ridgeline/base/check.h"

namespace ridgeline {
namespace {

/// a, b >= 0 that make the relative errors of a f(length) + b g(length) least.
template <class F, class G>
std::pair<double, double> fit_two(std::span<const GrowthPoint> points, F&& f, G&& g) {
  RIDGELINE_CHECK(!points.empty());
  double ff = 0, fg = 0, gg = 0, fy = 0, gy = 0;
  for (const GrowthPoint& p : points) {
    const double x = f(p.length) / p.seconds, y = g(p.length) / p.seconds;
    ff += x * x;
    fg += x * y;
    gg += y * y;
    fy += x;
    gy += y;
  }
  const double determinant = ff * gg - fg * fg;
  // All points at one length, or as good as that, say nothing of the second term.
  if (points.size() == 1 || determinant < 1e-9 * ff * gg) return {fy / ff, 0};
  const double a = (fy * gg - gy * fg) / determinant, b = (gy * ff - fy * fg) / determinant;
  if (b < 0) return {fy / ff, 0};
  if (a < 0) return {0, gy / gg};
  return {a, b};
}

double one(double) { return 1; }
double itself(double x) { return x; }
double square(double x) { return x * x; }

}  // namespace

double GrowthFit::sum(double first, double steps) const {
  double total = 0;
  for (double i = 0; i < steps; ++i) total += seconds(first + i);
  return total;
}

GrowthFit fit_pass(std::span<const GrowthPoint> points) {
  const auto [linear, quadratic] = fit_two(points, itself, square);
  return {.constant = 0, .linear = linear, .quadratic = quadratic};
}

GrowthFit fit_step(std::span<const GrowthPoint> points) {
  const auto [constant, linear] = fit_two(points, one, itself);
  return {.constant = constant, .linear = linear, .quadratic = 0};
}

double growth_exponent(std::span<const GrowthPoint> points) {
  double x = 0, y = 0, xx = 0, xy = 0;
  const auto n = static_cast<double>(points.size());
  for (const GrowthPoint& p : points) {
    const double u = std::log(p.length), v = std::log(p.seconds);
    x += u / n;
    y += v / n;
    xx += u * u / n;
    xy += u * v / n;
  }
  RIDGELINE_CHECK(xx - x * x > 0);
  return (xy - x * y) / (xx - x * x);
}

}  // namespace ridgeline
