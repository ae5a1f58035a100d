#pragma once

#include <vector>

#include "ridgeline/tools/doctor/finding.h"
#include "ridgeline/tools/doctor/model_diagnosis.h"
#include "ridgeline/tools/report/section.h"

namespace ridgeline::doctor {

/// What `ridgeline doctor` adds to the one report. `model`: null without -m.
void add_diagnosis(const std::vector<Finding>& findings, const ModelDiagnosis* model,
                   report::Section& section);

}  // namespace ridgeline::doctor
