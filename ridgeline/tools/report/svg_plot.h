#pragma once

#include <string>

#include "ridgeline/tools/report/section.h"

namespace ridgeline::report {

struct PlotSize {
  const char* name;   ///< a further class of the <svg>
  int width, height;  ///< CSS pixels; bars take what height they need
};
inline constexpr PlotSize kWidePlot{"wide", 920, 440}, kNarrowPlot{"narrow", 362, 360};

struct SvgDrawing {
  std::string svg;
  double width = 0, height = 0;
};

/// An <svg> for a page with page_style.h; series differ in colour, mark and dashes. `id` is unique
/// in the page. Points that an axis cannot show are left out; of none at all there is a sentence.
SvgDrawing svg_plot(const Plot& plot, const PlotSize& size, const std::string& id);
/// The same as a file of its own, with title and style.
std::string svg_file(const Plot& plot);

}  // namespace ridgeline::report
