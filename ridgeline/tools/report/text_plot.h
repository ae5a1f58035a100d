#pragma once

#include <string>

#include "ridgeline/tools/report/section.h"

namespace ridgeline::report {

/// A plot for a terminal of `columns` characters: lines and roofs in Braille dots, points as
/// letters or marks, which the key beneath explains. Not for bars.
std::string text_plot(const Plot& plot, int columns = 80, int rows = 24);

}  // namespace ridgeline::report
