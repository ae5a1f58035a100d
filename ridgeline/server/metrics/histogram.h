#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ridgeline {

/// A histogram as Prometheus has it, with fixed bounds; bucket i counts values up to and
/// including bounds[i], the last one the rest. Lock-free: observed by the engine's thread while
/// others read. A reader may see a value in the sum before it sees it in a bucket.
class Histogram {
 public:
  static constexpr std::size_t kBoundsMax = 31;

  /// `bounds`: ascending, no more than kBoundsMax, of static life.
  explicit Histogram(std::span<const double> bounds) : bounds_(bounds) {}

  void observe(double value) {
    const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
    const auto bucket = static_cast<std::size_t>(bound - bounds_.begin());
    counts_[bucket].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
  }

  std::span<const double> bounds() const { return bounds_; }
  std::uint64_t count_in(std::size_t bucket) const {
    return counts_[bucket].load(std::memory_order_relaxed);
  }
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  std::span<const double> bounds_;
  std::array<std::atomic<std::uint64_t>, kBoundsMax + 1> counts_{};
  std::atomic<double> sum_{0};
};

}  // namespace ridgeline
