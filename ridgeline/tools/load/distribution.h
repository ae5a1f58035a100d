#pragma once

#include <cstddef>
#include <vector>

namespace ridgeline::load {

/// What is told of many values of one kind; all 0 of none.
struct Distribution {
  std::size_t count = 0;
  double mean = 0, p50 = 0, p90 = 0, p95 = 0, p99 = 0, max = 0;
};

/// Of values in ascending order, `share` in [0, 1]: between the two nearest ranks linearly,
/// as NumPy does by default, and so vLLM's benchmark. 0 of none.
double percentile(const std::vector<double>& ascending, double share);
Distribution distribution(std::vector<double> values);

}  // namespace ridgeline::load
