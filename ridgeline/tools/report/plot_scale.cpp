#include "ridgeline/tools/report/plot_scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace ridgeline::report {
namespace {

// Beyond these, double arithmetic on the way to a pixel would lose its sense.
constexpr double kLeastPositive = 1e-30, kMost = 1e30;

}  // namespace

double tick_step(double range, int pieces) {
  if (!(range > 0)) return 1;
  const double rough = range / std::max(pieces, 1);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    // A hair of slack: 0.3 / 3 is not 0.1.
    if (factor * power >= rough * (1 - 1e-9)) return factor * power;
  return 10 * power;
}

std::string tick_text(double value) {
  for (const auto& [unit, name] : {std::pair{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}})
    if (std::fabs(value) >= unit && std::fabs(value) >= 1e4)
      return fmt::format("{:.6g}{}", value / unit, name);
  return fmt::format("{:.6g}", value);
}

PlotScale::PlotScale(const Axis& axis, const std::vector<double>& values, int pieces)
    : is_log_(axis.kind != Axis::Kind::kLinear) {
  double least = std::numeric_limits<double>::infinity(), most = -least;
  for (const double v : values) {
    if (!can_show(v)) continue;
    least = std::min(least, v);
    most = std::max(most, v);
  }
  if (axis.low && can_show(*axis.low)) least = *axis.low;
  if (axis.high && can_show(*axis.high)) most = *axis.high;
  if (!(least <= most)) least = is_log_ ? 1 : 0, most = is_log_ ? 10 : 1;
  pieces = std::max(pieces, 2);
  if (is_log_)
    set_log(axis, least, most, pieces);
  else
    set_linear(axis, least, most, pieces);
}

void PlotScale::set_linear(const Axis& axis, double least, double most, int pieces) {
  if (!axis.low && least > 0) least = 0;
  if (least == most) most = least + std::max(1.0, std::fabs(least));
  double step = tick_step(most - least, pieces);
  if (axis.whole) step = std::max(step, 1.0);
  low_ = axis.low ? least : std::floor(least / step + 1e-9) * step;
  high_ = axis.high ? most : std::ceil(most / step - 1e-9) * step;
  const double first = std::ceil(low_ / step - 1e-9);
  for (int i = 0; (first + i) * step <= high_ + 1e-9 * step && i < 100; ++i) {
    const double value = (first + i) * step + 0.0;  // no minus zero
    ticks_.push_back({value, tick_text(value)});
  }
}

void PlotScale::set_log(const Axis& axis, double least, double most, int pieces) {
  const double base = axis.kind == Axis::Kind::kLog2 ? 2 : 10;
  const auto exponent = [base](double v) { return std::log(v) / std::log(base); };
  // Whole powers of two; of ten, 1, 2 or 5 of one, so that little is empty.
  const auto below = [&](double v) {
    const double power = std::pow(base, std::floor(exponent(v) + 1e-9));
    if (base == 2) return power;
    return (v >= 5 * power * (1 - 1e-9) ? 5 : v >= 2 * power * (1 - 1e-9) ? 2 : 1) * power;
  };
  const auto above = [&](double v) {
    const double under = below(v);
    if (under >= v * (1 - 1e-9)) return under;
    if (base == 2) return 2 * under;
    const double power = std::pow(base, std::floor(exponent(v) + 1e-9));
    return (v <= 2 * power ? 2 : v <= 5 * power ? 5 : 10) * power;
  };
  low_ = axis.low ? least : below(least);
  high_ = axis.high ? most : above(most);
  if (high_ <= low_ * (1 + 1e-9)) low_ /= base, high_ *= base;

  const int first = static_cast<int>(std::ceil(exponent(low_) - 1e-9));
  const int last = static_cast<int>(std::floor(exponent(high_) + 1e-9));
  const int every = std::max(1, (last - first + pieces) / pieces);
  // With hardly a whole power between the bounds, 2 and 5 have numbers too.
  const bool with_numbers_between = base == 10 && exponent(high_) - exponent(low_) < 1.5;
  const bool with_lines_between = base == 10 && every == 1;
  for (int e = first - 1; e <= last; ++e) {
    const double power = std::pow(base, e);
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double value = factor * power;
      if (value < low_ * (1 - 1e-9) || value > high_ * (1 + 1e-9)) continue;
      const bool has_number = factor == 1 ? (e - first) % every == 0 : with_numbers_between;
      if (factor == 1 ? has_number : with_lines_between)
        ticks_.push_back({value, has_number ? tick_text(value) : std::string()});
    }
  }
}

double PlotScale::position(double value) const {
  if (is_log_) return (std::log(value) - std::log(low_)) / (std::log(high_) - std::log(low_));
  return (value - low_) / (high_ - low_);
}

bool PlotScale::can_show(double value) const {
  if (!std::isfinite(value) || std::fabs(value) > kMost) return false;
  return !is_log_ || value >= kLeastPositive;
}

}  // namespace ridgeline::report
