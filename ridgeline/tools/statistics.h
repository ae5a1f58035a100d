#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ridgeline {

/// The middle one, or the mean of the two in the middle; 0 of none.
double median(std::vector<double> values);

/// The value at `share` · (n - 1) of n ascending ones, counted from 0, between the two
/// neighbours in proportion. There is at least one, and share is 0 to 1.
double percentile(std::span<const double> ascending, double share);

/// The mean of values that come one by one, and how sure it is (Welford 1962).
class MeanEstimate {
 public:
  void add(double value);
  std::int64_t count() const { return count_; }
  double mean() const { return mean_; }
  /// sqrt(variance / n), the variance with n - 1; 0 of fewer than two values.
  double standard_error() const;

 private:
  std::int64_t count_ = 0;
  double mean_ = 0, squares_ = 0;  ///< Σ (value - mean)²
};

}  // namespace ridgeline
