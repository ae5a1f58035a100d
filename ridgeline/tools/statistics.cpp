#include "ridgeline/tools/statistics.h"

#include <algorithm>
#include <cmath>

#include "ridgeline/base/check.h"

namespace ridgeline {

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const std::size_t mid = values.size() / 2;
  return values.size() % 2 == 1 ? values[mid] : (values[mid - 1] + values[mid]) / 2;
}

double percentile(std::span<const double> ascending, double share) {
  RIDGELINE_CHECK(!ascending.empty() && share >= 0 && share <= 1);
  const double at = share * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, ascending.size() - 1);
  const double part = at - static_cast<double>(below);
  return (1 - part) * ascending[below] + part * ascending[above];
}

void MeanEstimate::add(double value) {
  ++count_;
  const double before = value - mean_;
  mean_ += before / static_cast<double>(count_);
  squares_ += before * (value - mean_);
}

double MeanEstimate::standard_error() const {
  if (count_ < 2) return 0;
  const auto n = static_cast<double>(count_);
  return std::sqrt(squares_ / (n - 1) / n);
}

}  // namespace ridgeline
