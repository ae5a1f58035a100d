#pragma once

#include <string>

#include "ridgeline/tools/report/svg_plot.h"

namespace ridgeline::report {

/// A plot whose series are bars, which lie one below the other.
SvgDrawing svg_bars(const Plot& plot, const PlotSize& size, const std::string& id);

}  // namespace ridgeline::report
