#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ridgeline {

/// Ticks that all CPUs together have spent since the machine was started.
struct CpuTimes {
  std::uint64_t busy = 0;    ///< computing for someone
  std::uint64_t stolen = 0;  ///< of a virtual machine: the host ran something else
  std::uint64_t total = 0;
};
CpuTimes read_cpu_times(const std::string& root);

/// Between two looks, as shares of all CPUs' time.
struct CpuUse {
  double busy = 0, stolen = 0;
};
CpuUse use_between(const CpuTimes& before, const CpuTimes& after);

/// Of the last minute: threads that ran or wanted to, on average. Absent: no /proc/loadavg.
std::optional<double> read_load_average(const std::string& root);

}  // namespace ridgeline
