#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ridgeline/tools/report/section.h"

namespace ridgeline::report {

struct Tick {
  double value = 0;
  std::string text{};  ///< empty: a line without a number
};

/// An axis with its bounds chosen: where values are on it, and what stands beside it.
class PlotScale {
 public:
  /// `values` are all that are to be shown; those that the axis cannot show do not count. About
  /// `pieces` ticks with numbers at most, 2 at least.
  PlotScale(const Axis& axis, const std::vector<double>& values, int pieces);

  /// 0 to 1 for what lies between the bounds.
  double position(double value) const;
  /// Finite, and positive on a logarithmic axis.
  bool can_show(double value) const;
  double low() const { return low_; }
  double high() const { return high_; }
  const std::vector<Tick>& ticks() const { return ticks_; }

 private:
  void set_linear(const Axis& axis, double least, double most, int pieces);
  void set_log(const Axis& axis, double least, double most, int pieces);

  bool is_log_ = false;
  double low_ = 0, high_ = 1;
  std::vector<Tick> ticks_;
};

/// The smallest of 1, 2, 5 times a power of ten that cuts `range` into at most `pieces`.
double tick_step(double range, int pieces);
/// "0.002", "15", "4000", "20k", "3M".
std::string tick_text(double value);

}  // namespace ridgeline::report
