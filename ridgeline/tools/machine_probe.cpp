#include "ridgeline/tools/machine_probe.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "ridgeline/base/check.h"
#include "ridgeline/platform/thread_pool.h"
#include "ridgeline/platform/topology.h"
#include "ridgeline/tensor/buffer.h"

namespace ridgeline {
namespace {

using Clock = std::chrono::steady_clock;

// One item of a loop, and one huge page.
constexpr std::size_t kSliceBytes = std::size_t{2} << 20;
constexpr std::size_t kPageBytes = 4096;
// A cache that holds an eighth of the buffer cannot flatter a cyclic read by much even
// if its replacement keeps some lines from pass to pass; four times is the least that
// still counts when the system is slow to hand out pages (a virtual machine whose host
// backs them on first touch took 0.7 s for 256 MiB).
constexpr std::size_t kCacheMultiple = 8;
constexpr std::size_t kCacheMultipleMin = 4;
constexpr std::size_t kBufferBytesMin = std::size_t{64} << 20;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Eight independent sums hide the latency of the additions. 16-byte loads suffice: on
/// Zen 4 a loop of 64-byte loads reads main memory no faster.
std::uint64_t sum_words(const std::byte* data, std::size_t bytes) {
  using Vector = std::uint64_t __attribute__((vector_size(16)));
  constexpr std::size_t kSums = 8;
  const auto* vectors = reinterpret_cast<const Vector*>(data);
  Vector sums[kSums] = {};
  for (std::size_t i = 0; i < bytes / sizeof(Vector); i += kSums) {
    for (std::size_t j = 0; j < kSums; ++j) sums[j] += vectors[i + j];
  }
  Vector total = {};
  for (const Vector& sum : sums) total += sum;
  return total[0] + total[1];
}

/// Writes to every page, since pages that were only read are all the same zero page.
/// Returns how many slices are there when `seconds` are over, at least `slices_min`.
std::size_t touch(ThreadPool& pool, std::byte* data, std::size_t slices_min, std::size_t slices,
                  double seconds) {
  constexpr std::size_t kSlicesPerStep = 16;
  const auto begin = Clock::now();
  std::size_t done = 0;
  while (done < slices && (done < slices_min || seconds_since(begin) < seconds)) {
    const std::size_t step = std::min(kSlicesPerStep, slices - done);
    pool.parallel_for(static_cast<std::int64_t>(step), [&](std::int64_t item, int) {
      std::byte* slice = data + (done + static_cast<std::size_t>(item)) * kSliceBytes;
      for (std::size_t i = 0; i < kSliceBytes; i += kPageBytes) slice[i] = std::byte{1};
    });
    done += step;
  }
  return done;
}

}  // namespace

BandwidthProbe::BandwidthProbe(ThreadPool& pool, double seconds, std::size_t buffer_bytes_max)
    : pool_(pool) {
  const std::size_t l3 = topology().l3_bytes;
  const auto in_range = [buffer_bytes_max](std::size_t bytes) {
    return std::clamp(bytes, kBufferBytesMin, std::max(kBufferBytesMin, buffer_bytes_max));
  };
  const std::size_t bytes = in_range(kCacheMultiple * l3);
  const std::size_t bytes_min = in_range(kCacheMultipleMin * l3);
  if (memory_info().available_bytes / 2 < bytes) return;
  auto buffer = Buffer::allocate(bytes, "the bandwidth probe");
  if (!buffer) return;
  buffer_ = std::move(*buffer);
  slices_ = touch(pool, buffer_.data(), bytes_min / kSliceBytes, bytes / kSliceBytes, seconds);
}

double BandwidthProbe::measure(double seconds) {
  if (slices_ == 0) return 0;
  const auto begin = Clock::now();
  constexpr std::size_t kLineWords = 8;
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(pool_.size()) * kLineWords);
  double best = 0;
  std::uint64_t passes = 0;
  for (; passes < 2 || seconds_since(begin) < seconds; ++passes) {
    const auto pass_begin = Clock::now();
    pool_.parallel_for(static_cast<std::int64_t>(slices_), [&](std::int64_t item, int worker) {
      sums[static_cast<std::size_t>(worker) * kLineWords] +=
          sum_words(buffer_.data() + static_cast<std::size_t>(item) * kSliceBytes, kSliceBytes);
    });
    best = std::max(best, static_cast<double>(slices_ * kSliceBytes) / seconds_since(pass_begin));
  }
  // Every page holds a single one, so the sum tells that each was read, and keeps the
  // compiler from dropping the loads.
  const std::uint64_t total = std::accumulate(sums.begin(), sums.end(), std::uint64_t{0});
  RIDGELINE_CHECK(total == passes * slices_ * (kSliceBytes / kPageBytes));
  return best;
}

double measure_read_bandwidth(ThreadPool& pool, double seconds, std::size_t buffer_bytes_max) {
  const auto begin = Clock::now();
  BandwidthProbe probe(pool, seconds / 2, buffer_bytes_max);
  return probe.measure(seconds - seconds_since(begin));
}

double measure_peak(ThreadPool& pool, const PeakKernel& kernel, double seconds) {
  const auto begin = Clock::now();
  // Items of a tenth of a millisecond or so: threads end together, and waking them is little.
  constexpr std::int64_t kSteps = 1 << 15;
  constexpr std::int64_t kItemsPerThread = 16;
  const std::int64_t items = kItemsPerThread * pool.size();
  std::vector<float> results(static_cast<std::size_t>(items));
  double best = 0;
  do {
    const auto run_begin = Clock::now();
    pool.parallel_for(items, [&](std::int64_t item, int) {
      results[static_cast<std::size_t>(item)] = kernel.run(kSteps);
    });
    const double ops =
        kernel.ops_per_step * static_cast<double>(kSteps) * static_cast<double>(items);
    best = std::max(best, ops / seconds_since(run_begin));
  } while (seconds_since(begin) < seconds);
  return best;
}

MachineProbe::MachineProbe(ThreadPool& pool, const KernelTable& kernels)
    : pool_(pool), kernels_(kernels), bandwidth_(pool, /*seconds=*/1.0) {}

Ceilings MachineProbe::measure() {
  constexpr double kBandwidthSeconds = 0.12, kPeakSeconds = 0.03;
  Ceilings ceilings;
  ceilings.read_bytes_per_second = bandwidth_.measure(kBandwidthSeconds);
  for (const PeakKernel& kernel : kernels_.peaks)
    ceilings.ops_per_second[static_cast<std::size_t>(kernel.arithmetic)] =
        measure_peak(pool_, kernel, kPeakSeconds);
  return ceilings;
}

}  // namespace ridgeline
