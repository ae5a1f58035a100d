#pragma once

#include <vector>

#include "ridgeline/tools/doctor/finding.h"
#include "ridgeline/tools/doctor/machine_facts.h"

namespace ridgeline::doctor {

/// What the facts mean for Ridgeline, item by item: processor, memory, system. Plain judgement.
std::vector<Finding> processor_findings(const MachineFacts& facts);
std::vector<Finding> memory_findings(const MachineFacts& facts, const MachineSpeed& speed);
std::vector<Finding> system_findings(const MachineFacts& facts);
/// All of them.
std::vector<Finding> machine_findings(const MachineFacts& facts, const MachineSpeed& speed);

}  // namespace ridgeline::doctor
