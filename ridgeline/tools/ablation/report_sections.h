#pragma once

#include "ridgeline/tools/ablation/ablation.h"
#include "ridgeline/tools/ablation/complexity.h"
#include "ridgeline/tools/report/section.h"

// What `bench ablation` and `bench complexity` add to the one report.

namespace ridgeline {

void add_ablation(const AblationReport& found, report::Section& section);
void add_complexity(const ComplexityReport& found, report::Section& section);

}  // namespace ridgeline
