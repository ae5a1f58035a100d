#include "ridgeline/tools/load/distribution.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ridgeline::load {

double percentile(const std::vector<double>& ascending, double share) {
  if (ascending.empty()) return 0;
  const double rank = share * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(rank));
  const std::size_t above = std::min(below + 1, ascending.size() - 1);
  return std::lerp(ascending[below], ascending[above], rank - std::floor(rank));
}

Distribution distribution(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  Distribution d;
  d.count = values.size();
  d.mean = std::reduce(values.begin(), values.end()) / static_cast<double>(values.size());
  d.p50 = percentile(values, 0.50);
  d.p90 = percentile(values, 0.90);
  d.p95 = percentile(values, 0.95);
  d.p99 = percentile(values, 0.99);
  d.max = values.back();
  return d;
}

}  // namespace ridgeline::load
