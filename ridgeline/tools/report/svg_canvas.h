#pragma once

#include <fmt/format.h>

#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/tools/report/section.h"
#include "ridgeline/tools/report/svg_plot.h"

// What drawings of plots have in common. Colours are those of the classes c0 ... c7 of
// page_style.h.

namespace ridgeline::report {

/// Colours and marks that differ: series take them in turn.
inline constexpr int kPlotColours = 8;
inline constexpr double kLegendRow = 20;  ///< pixels

/// A mark differs in form as well as colour, for those who see or print few colours.
std::string svg_mark(std::size_t series, double x, double y);
/// Classes of a series' line; beyond the colours there are, lines are broken.
std::string line_class(std::size_t series);
/// "rate, GOP/s"
std::string axis_title(const Axis& axis);
/// About how wide a text is in the plots' font; rather too much.
double text_width(std::string_view text);

class SvgCanvas {
 public:
  SvgCanvas(const Plot& plot, double width, const std::string& id);

  template <class... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(body_), format, std::forward<Args>(args)...);
  }
  /// `classes`: "x" is centred, "y" ends at x, "label" has the colour of text.
  void text(double x, double y, const char* classes, std::string_view content);
  void line(double x0, double y0, double x1, double y1, const char* classes);
  /// Draws what `titles` of series mean, from the top on, and returns where it ends. Bars have
  /// swatches, others mark and line.
  double legend(const std::vector<std::string>& titles, const Plot& plot);
  /// The element, with title and description. `name` is a class.
  SvgDrawing close(const char* name, double height) &&;

  double width() const { return width_; }
  const std::string& id() const { return id_; }

 private:
  const Plot& plot_;
  double width_;
  std::string id_, body_;
};

/// A bar's filling: its colour, and a hatch over it that tells it from its neighbours.
std::string svg_bar(const SvgCanvas& canvas, std::size_t series, double x, double y, double width,
                    double height);

}  // namespace ridgeline::report
