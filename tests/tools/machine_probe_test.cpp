#include "ridgeline/tools/machine_probe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "ridgeline/platform/thread_pool.h"
#include "ridgeline/platform/topology.h"

namespace ridgeline {
namespace {

TEST(MachineProbe, BandwidthIsThatOfAMachineAndTakesItsTime) {
  if (memory_info().available_bytes < std::uint64_t{1} << 30) GTEST_SKIP() << "needs 1 GiB";
  ThreadPool pool(topology().default_threads());
  const auto begin = std::chrono::steady_clock::now();
  const double bytes_per_s = measure_read_bandwidth(pool, 0.12);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
  RecordProperty("read_gb_per_s", std::to_string(bytes_per_s / 1e9));
  // From a slow emulator to more than any socket has; L1 alone would read faster than that.
  EXPECT_GT(bytes_per_s, 0.05e9);
  EXPECT_LT(bytes_per_s, 2e12);
  EXPECT_GE(spent.count(), 0.12);
  EXPECT_LT(spent.count(), 10.0);
}

TEST(MachineProbe, EveryKindOfArithmeticThatAKernelUsesHasAPeak) {
  ThreadPool one(1);
  for (const KernelTable* kernels : available_kernels()) {
    for (const WeightKernel& kernel : kernels->weights)
      EXPECT_TRUE(std::ranges::any_of(kernels->peaks, [&](const PeakKernel& peak) {
        return peak.arithmetic == arithmetic_of(kernel.activation);
      })) << kernels->name;
    for (const PeakKernel& peak : kernels->peaks) {
      const double ops_per_s = measure_peak(one, peak, 0.0);
      // From an emulator to more than a core's matrix unit has.
      EXPECT_GT(ops_per_s, 1e8) << kernels->name;
      EXPECT_LT(ops_per_s, 1e14) << kernels->name;
    }
  }
}

TEST(MachineProbe, WiderVectorsHaveHigherPeaks) {
  if (available_kernels().size() < 2) GTEST_SKIP() << "this CPU has nothing but SSE2";
  ThreadPool one(1);
  const auto peak = [&](const KernelTable& kernels, Arithmetic kind) {
    const auto it = std::ranges::find(kernels.peaks, kind, &PeakKernel::arithmetic);
    return it == kernels.peaks.end() ? 0.0 : measure_peak(one, *it, 0.02);
  };
  for (const Arithmetic kind : {Arithmetic::kF32, Arithmetic::kInt8})
    EXPECT_GT(peak(*available_kernels().front(), kind), 1.5 * peak(*find_kernels("generic"), kind));
}

}  // namespace
}  // namespace ridgeline
