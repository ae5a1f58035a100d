#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace ridgeline {

/// What this process may use of the machine: affinity masks, cgroup (v1, v2)
/// quotas and limits respected.
struct Topology {
  /// CPUs this process may run on, one per physical core first, then the siblings.
  std::vector<int> usable_cpus;
  int physical_cores = 1;           ///< usable ones
  std::optional<double> cpu_quota;  ///< of a cgroup, in CPUs
  std::size_t l1d_bytes = 0;        ///< of one core; 0 if unknown
  std::size_t l2_bytes = 0;
  std::size_t l3_bytes = 0;
  int numa_nodes = 1;

  /// physical_cores, no more than the quota rounded up; at least 1.
  int default_threads() const;
};
const Topology& topology();

struct MemoryInfo {
  std::uint64_t total_bytes = 0;      ///< of the machine or the cgroup, the smaller
  std::uint64_t available_bytes = 0;  ///< likewise: what can be taken without swapping
};
MemoryInfo memory_info();

/// Resident set of this process in bytes: now, and its peak.
std::uint64_t resident_bytes();
std::uint64_t peak_resident_bytes();

}  // namespace ridgeline
