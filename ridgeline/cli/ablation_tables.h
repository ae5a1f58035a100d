#pragma once

#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/ablation/ablation.h"

namespace ridgeline::cli {

/// Three significant digits without an exponent: "0.00123", "12.3", "4570"; a "*" behind what was
/// extrapolated.
std::string figure_text(double value, bool extrapolated = false);

using TextCells = std::vector<std::string>;
/// The first column to the left and figures to the right.
std::string markdown_table(const std::vector<TextCells>& lines);

/// To a file, or to standard output for "-".
Status write_output(const std::string& path, const std::string& text);

/// Speed, memory and quality as Markdown tables, what there is to say of them, and the reference
/// from the literature with ours beside it.
std::string ablation_tables(const AblationReport& report);
/// A line for each row that was measured, figures as they are.
std::string ablation_csv(const AblationReport& report);

}  // namespace ridgeline::cli
