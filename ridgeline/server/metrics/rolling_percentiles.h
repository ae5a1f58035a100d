#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "ridgeline/engine/request.h"

namespace ridgeline {

/// Quantiles of what was observed in about the last minute: the running slice of five seconds
/// and the twelve before it. Positive values from a microsecond to some hours fall into buckets,
/// 32 to an octave and evenly spaced in it, and come out as their bucket's middle: with a
/// relative error of 1/64 at most. Values outside of that range count as its ends. An
/// observation is O(1), with no allocation; 56 KB each.
class RollingPercentiles {
 public:
  static constexpr double kRelativeError = 1.0 / 64;
  static constexpr int kSliceSeconds = 5;
  static constexpr int kFullSlices = 12;
  static constexpr int kWindowSeconds = kSliceSeconds * kFullSlices;

  RollingPercentiles();

  void observe(double value, Clock::time_point now);

  struct Snapshot {
    std::uint64_t count = 0;
    double sum = 0;
    /// The value that a share `q` of the observations does not exceed (nearest rank); 0 if
    /// there are none.
    double quantile(double q) const;

    std::vector<std::uint64_t> buckets;
  };
  Snapshot snapshot(Clock::time_point now) const;

 private:
  static constexpr int kSubBits = 5;
  static constexpr int kExponentMin = -20;  // 2^-20 s: 0.95 µs
  static constexpr int kOctaves = 34;       // up to 2^14 s: 4.6 hours
  static constexpr int kBuckets = kOctaves << kSubBits;
  static int bucket_of(double value);
  static double middle_of(int bucket);

  struct Slice {
    std::int64_t number = -1;  // since the clock's epoch; -1: never used
    std::uint64_t count = 0;
    double sum = 0;
    std::vector<std::uint32_t> buckets;
  };
  mutable std::mutex mutex_;
  std::array<Slice, kFullSlices + 1> slices_;
};

/// A rate over the last ten full seconds, and what of the running one has passed.
class RollingRate {
 public:
  void add(double amount, Clock::time_point now);
  double per_second(Clock::time_point now) const;

 private:
  static constexpr int kFullSeconds = 10;
  struct Second {
    std::int64_t number = -1;
    double amount = 0;
  };
  mutable std::mutex mutex_;
  std::array<Second, kFullSeconds + 1> seconds_{};
};

}  // namespace ridgeline
