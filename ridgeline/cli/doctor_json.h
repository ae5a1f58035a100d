#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "ridgeline/tools/doctor/machine_findings.h"
#include "ridgeline/tools/doctor/model_diagnosis.h"

namespace ridgeline::cli {

/// What `doctor --json` prints of the machine, of the findings, and of a model.
nlohmann::ordered_json machine_json(const doctor::MachineFacts& facts,
                                    const doctor::MachineSpeed& speed);
nlohmann::ordered_json findings_json(const std::vector<doctor::Finding>& findings);
nlohmann::ordered_json model_json(const doctor::ModelDiagnosis& diagnosis);

}  // namespace ridgeline::cli
