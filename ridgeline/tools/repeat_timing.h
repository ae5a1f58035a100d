#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

#include "ridgeline/tools/statistics.h"

namespace ridgeline {

/// Seconds that one call of `body` takes: of runs of a millisecond or more each, as many as fit in
/// `seconds` and no fewer than three, the lower quartile. What else the machine does only adds.
template <class Body>
double seconds_of_call(Body&& body, double seconds) {
  using Steady = std::chrono::steady_clock;
  constexpr double kRunSeconds = 1e-3;
  constexpr std::size_t kRunsMin = 3;
  const auto since = [](Steady::time_point begin) {
    return std::chrono::duration<double>(Steady::now() - begin).count();
  };
  const auto begin = Steady::now();
  body();
  int calls = std::max(1, static_cast<int>(kRunSeconds / std::max(since(begin), 1e-7)));
  std::vector<double> runs;
  while (runs.size() < kRunsMin || since(begin) < seconds) {
    const auto run_begin = Steady::now();
    for (int i = 0; i < calls; ++i) body();
    const double taken = since(run_begin);
    runs.push_back(taken / calls);
    // The first call may have been slower than the others by far.
    if (taken < kRunSeconds / 2 && runs.size() == 1) {
      calls = static_cast<int>(calls * kRunSeconds / std::max(taken, 1e-7)) + 1;
      runs.clear();
    }
  }
  std::ranges::sort(runs);
  return percentile(runs, 0.25);
}

}  // namespace ridgeline
