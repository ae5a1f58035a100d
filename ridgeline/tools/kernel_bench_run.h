#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/platform/thread_pool.h"
#include "ridgeline/tools/bench_kernels.h"
#include "ridgeline/tools/machine_probe.h"
#include "ridgeline/tools/statistics.h"

// What the sections of `bench kernels` share.

namespace ridgeline {

/// One run of the benchmark: its clock, its ceilings, and the portable times.
class KernelBenchRun {
 public:
  explicit KernelBenchRun(const KernelBenchOptions& options);

  const KernelBenchOptions& options() const { return options_; }
  /// Portable first. The generic table is there even if nobody asked to see it.
  const std::vector<const KernelTable*>& tables() const { return tables_; }
  bool wants(KernelSection section) const;
  bool wants(DType format) const;
  bool time_is_over() const { return seconds_left() <= 0; }
  double seconds_left() const;

  ThreadPool& one_thread() { return one_; }
  /// Of an ISA, one thread; measured when first asked for.
  double peak(const KernelTable& kernels, Arithmetic kind);

  /// Adds what follows from the other figures and from the portable code's, and hands the
  /// line on if its ISA was asked for.
  void add(KernelLine line);
  void note(const std::string& sentence) const;

  /// Median seconds of a call: as many as fit in seconds_per_case, and short ones by the
  /// dozen. Of calls that take longer than that the better of two, of very long ones one.
  template <class Call>
  double seconds_of(Call&& call) const;

 private:
  using Clock = std::chrono::steady_clock;

  const KernelBenchOptions& options_;
  Clock::time_point begin_ = Clock::now();
  ThreadPool one_;
  std::vector<const KernelTable*> tables_;
  std::map<std::pair<const KernelTable*, Arithmetic>, double> peaks_;
  std::map<std::string, double> generic_seconds_;  ///< by KernelLine::key
};

template <class Call>
double KernelBenchRun::seconds_of(Call&& call) const {
  constexpr double kSecondsPerSample = 20e-6, kVeryLong = 1.0;
  const auto time = [&](std::int64_t calls) {
    const auto begin = Clock::now();
    for (std::int64_t i = 0; i < calls; ++i) call();
    return std::chrono::duration<double>(Clock::now() - begin).count() / static_cast<double>(calls);
  };
  const double first = time(1);
  if (first >= kVeryLong) return first;
  if (first >= options_.seconds_per_case) return std::min(first, time(1));
  const auto calls = static_cast<std::int64_t>(kSecondsPerSample / first) + 1;
  std::vector<double> samples;
  double spent = first;
  while (spent < options_.seconds_per_case || samples.size() < 3) {
    samples.push_back(time(calls));
    spent += samples.back() * static_cast<double>(calls);
  }
  return median(samples);
}

/// Normally distributed, the same every time.
std::vector<float> random_floats(std::size_t count, float deviation);

/// Distance of `values` from `reference` over the norm of the latter.
double relative_error(std::span<const float> values, std::span<const double> reference);

void bench_ceilings(KernelBenchRun& run);
Status bench_products(KernelBenchRun& run);
Status bench_unaligned_loads(KernelBenchRun& run);
Status bench_attention(KernelBenchRun& run);

}  // namespace ridgeline
