#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ridgeline {

/// The folder of this process's cgroup and those above it, as far as their mount shows them. A
/// limit of any of them binds. Empty if the controller is not mounted.
struct CgroupFolders {
  std::vector<std::string> folders;
  bool v2 = false;
};
/// Of a controller ("cpu", "memory"), in version 1 and 2.
CgroupFolders cgroup_folders(const std::string& root, std::string_view controller);

/// What a control group (a container, a service of systemd) allows this process; the least on the
/// way up.
struct CgroupCpu {
  std::optional<double> cpus;  ///< of CPU time per time; absent: no limit
  std::string file;            ///< that says so
  /// Scheduling periods of that cgroup, and those in which it was stopped before their end.
  std::uint64_t periods = 0, throttled_periods = 0;
};
CgroupCpu read_cgroup_cpu(const std::string& root);

struct CgroupMemory {
  std::uint64_t limit_bytes = 0;
  std::uint64_t held_bytes = 0;  ///< without page cache, which the kernel drops before it runs out
  std::string file;              ///< that sets the limit
};
/// Of every cgroup on the way up that has a limit.
std::vector<CgroupMemory> read_cgroup_memory(const std::string& root);

}  // namespace ridgeline
