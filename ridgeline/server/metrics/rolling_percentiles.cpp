#include "ridgeline/server/metrics/rolling_percentiles.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>

namespace ridgeline {
namespace {

std::int64_t seconds_since_epoch(Clock::time_point now) {
  return std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count();
}

}  // namespace

RollingPercentiles::RollingPercentiles() {
  for (Slice& slice : slices_) slice.buckets.resize(kBuckets);
}

int RollingPercentiles::bucket_of(double value) {
  if (!(value >= std::ldexp(1.0, kExponentMin))) return 0;  // NaN, too
  // Exponent and leading bits of the mantissa, as one number, are the bucket.
  constexpr int kDropped = 52 - kSubBits;
  constexpr std::uint64_t kFirst = static_cast<std::uint64_t>(1023 + kExponentMin) << kSubBits;
  const std::uint64_t index = (std::bit_cast<std::uint64_t>(value) >> kDropped) - kFirst;
  return static_cast<int>(std::min<std::uint64_t>(index, kBuckets - 1));
}

double RollingPercentiles::middle_of(int bucket) {
  constexpr int kSub = 1 << kSubBits;
  const double within = (bucket % kSub + 0.5) / kSub;
  return std::ldexp(1 + within, kExponentMin + bucket / kSub);
}

void RollingPercentiles::observe(double value, Clock::time_point now) {
  const int bucket = bucket_of(value);
  const std::int64_t number = seconds_since_epoch(now) / kSliceSeconds;
  const std::lock_guard lock(mutex_);
  Slice& slice = slices_[static_cast<std::size_t>(number) % slices_.size()];
  if (slice.number != number) {
    // Later than a turn of the ring: not of this window any more.
    if (number < slice.number) return;
    slice.number = number;
    slice.count = 0;
    slice.sum = 0;
    std::fill(slice.buckets.begin(), slice.buckets.end(), 0);
  }
  ++slice.count;
  slice.sum += value;
  ++slice.buckets[static_cast<std::size_t>(bucket)];
}

RollingPercentiles::Snapshot RollingPercentiles::snapshot(Clock::time_point now) const {
  const std::int64_t number = seconds_since_epoch(now) / kSliceSeconds;
  Snapshot all;
  all.buckets.resize(kBuckets);
  const std::lock_guard lock(mutex_);
  for (const Slice& slice : slices_) {
    if (slice.count == 0 || slice.number < number - kFullSlices) continue;
    all.count += slice.count;
    all.sum += slice.sum;
    for (std::size_t i = 0; i < all.buckets.size(); ++i) all.buckets[i] += slice.buckets[i];
  }
  return all;
}

double RollingPercentiles::Snapshot::quantile(double q) const {
  if (count == 0) return 0;
  const auto rank = std::clamp<std::uint64_t>(
      static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(count))), 1, count);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    seen += buckets[i];
    if (seen >= rank) return middle_of(static_cast<int>(i));
  }
  return middle_of(kBuckets - 1);
}

void RollingRate::add(double amount, Clock::time_point now) {
  const std::int64_t number = seconds_since_epoch(now);
  const std::lock_guard lock(mutex_);
  Second& second = seconds_[static_cast<std::size_t>(number) % seconds_.size()];
  if (number < second.number) return;
  if (number > second.number) second = {number, 0};
  second.amount += amount;
}

double RollingRate::per_second(Clock::time_point now) const {
  const std::int64_t number = seconds_since_epoch(now);
  const double running =
      std::chrono::duration<double>(now.time_since_epoch()).count() - static_cast<double>(number);
  double sum = 0;
  const std::lock_guard lock(mutex_);
  for (const Second& second : seconds_) {
    if (second.number >= number - kFullSeconds) sum += second.amount;
  }
  return sum / (kFullSeconds + running);
}

}  // namespace ridgeline
