#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ridgeline/platform/cgroup.h"
#include "ridgeline/platform/cpu_features.h"
#include "ridgeline/platform/huge_pages.h"
#include "ridgeline/platform/machine_load.h"
#include "ridgeline/platform/power_policy.h"
#include "ridgeline/platform/process_limits.h"
#include "ridgeline/platform/swap_state.h"
#include "ridgeline/platform/topology.h"
#include "ridgeline/platform/virtualization.h"
#include "ridgeline/tools/roofline.h"

namespace ridgeline::doctor {

/// What the machine says about itself, and what of it this process may use.
struct MachineFacts {
  CpuFeatures cpu;
  std::vector<std::string> isas;        ///< that kernels were built for and run here, best first
  std::vector<std::string> built_isas;  ///< best first
  std::string isa;                      ///< that is used
  bool isa_is_forced = false;           ///< by RIDGELINE_ISA
  Topology topology;
  int online_cpus = 0;  ///< of the machine
  int threads = 0;      ///< that Ridgeline uses
  CgroupCpu cgroup_cpu;
  std::vector<CgroupMemory> cgroup_memory;
  MemoryInfo memory;
  std::uint64_t machine_memory_bytes = 0;
  HugePages huge_pages;
  SwapState swap;
  PowerPolicy power;
  Virtualization virtualization;
  CpuUse use;  ///< by others, just before anything was measured
  std::optional<double> load_average;
  ProcessLimits limits;
};
/// `threads`: as -t, 0 for what Ridgeline would take. Looks at the load for `load_seconds`.
MachineFacts collect_machine_facts(int threads, double load_seconds = 0.3);

struct MachineSpeed {
  Ceilings one_thread, all_threads;
  double huge_share = 0;  ///< of memory as weights have it, how much lies in huge pages
  bool huge_share_known = false;
};
/// About a second.
MachineSpeed measure_machine(const MachineFacts& facts, bool pin);

}  // namespace ridgeline::doctor
