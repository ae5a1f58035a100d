#pragma once

#include <string>

#include "ridgeline/tools/ablation/ablation.h"

namespace ridgeline::cli {

/// Three significant digits without an exponent: "0.00123", "12.3", "4570"; a "*" behind what was
/// extrapolated.
std::string figure_text(double value, bool extrapolated = false);

/// Speed, memory and quality as Markdown tables, what there is to say of them, and the reference
/// from the literature with ours beside it.
std::string ablation_tables(const AblationReport& report);
/// A line for each row that was measured, figures as they are.
std::string ablation_csv(const AblationReport& report);

}  // namespace ridgeline::cli
