#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/platform/topology.h"

namespace ridgeline {

/// topology() and memory_info() of the machine whose /proc and /sys lie under `root`
/// ("" is this one), so that tests can describe machines they do not run on.
Topology read_topology(const std::string& root, const std::vector<int>& allowed_cpus);
MemoryInfo read_memory_info(const std::string& root);

/// "0-3,8" is 0 1 2 3 8: the format of cpulist files. Stops at what is not of it.
std::vector<int> parse_cpu_list(std::string_view text);

}  // namespace ridgeline
