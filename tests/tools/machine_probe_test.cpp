#include "ridgeline/tools/machine_probe.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace ridgeline
