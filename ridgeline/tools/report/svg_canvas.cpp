#include "ridgeline/tools/report/svg_canvas.h"

#include <algorithm>

#include "ridgeline/tools/report/html_text.h"

namespace ridgeline::report {
namespace {

constexpr double kSwatch = 12, kLineKey = 30;

}  // namespace

std::string svg_mark(std::size_t series, double x, double y) {
  constexpr double r = 3.7;
  const std::size_t colour = series % kPlotColours;
  switch (series % 4) {
    case 0:
      return fmt::format("<circle class=\"c{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"/>", colour, x,
                         y, r);
    case 1:
      return fmt::format(
          "<rect class=\"c{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"6.8\" height=\"6.8\"/>", colour,
          x - 3.4, y - 3.4);
    case 2:
      return fmt::format("<path class=\"c{}\" d=\"M{:.1f} {:.1f}l4.3 7.5h-8.6z\"/>", colour, x,
                         y - 4.6);
    default:
      return fmt::format("<path class=\"c{}\" d=\"M{:.1f} {:.1f}l4.6 4.6l-4.6 4.6l-4.6 -4.6z\"/>",
                         colour, x, y - 4.6);
  }
}

std::string line_class(std::size_t series) {
  return fmt::format("line c{}{}", series % kPlotColours,
                     series / kPlotColours % 2 == 1 ? " broken" : "");
}

std::string axis_title(const Axis& axis) {
  if (axis.title.empty() || axis.unit.empty()) return axis.title + axis.unit;
  return axis.title + ", " + axis.unit;
}

double text_width(std::string_view text) {
  constexpr double kPerCharacter = 6.9;
  return kPerCharacter * static_cast<double>(characters(text));
}

SvgCanvas::SvgCanvas(const Plot& plot, double width, const std::string& id)
    : plot_(plot), width_(width), id_(id) {}

void SvgCanvas::text(double x, double y, const char* classes, std::string_view content) {
  put("<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", classes, x, y,
      escape_html(content));
}

void SvgCanvas::line(double x0, double y0, double x1, double y1, const char* classes) {
  put("<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", classes, x0,
      y0, x1, y1);
}

double SvgCanvas::legend(const std::vector<std::string>& titles, const Plot& plot) {
  const bool is_bars = plot.is_bars();
  const double key = is_bars ? kSwatch : kLineKey;
  double x = 2, y = 0;
  bool any = false;
  for (std::size_t i = 0; i < titles.size(); ++i) {
    if (titles[i].empty()) continue;
    const double wide = key + 7 + text_width(titles[i]) + 14;
    if (any && x + wide > width_) x = 2, y += kLegendRow;
    if (is_bars)
      body_ += svg_bar(*this, i, x, y + 3, kSwatch, kSwatch);
    else
      put("{}{}",
          plot.series[i].style == Series::Style::kPoints
              ? ""
              : fmt::format("<path class=\"{}\" d=\"M{:.1f} {:.1f}h{}\"/>", line_class(i), x, y + 9,
                            kLineKey),
          svg_mark(i, x + kLineKey / 2, y + 9));
    text(x + key + 7, y + 13, "legend-text", titles[i]);
    x += wide;
    any = true;
  }
  return any ? y + kLegendRow + 4 : 0;
}

SvgDrawing SvgCanvas::close(const char* name, double height) && {
  // Hatches in the page's own colour, so that they do in light, dark and print.
  std::string defs;
  if (plot_.is_bars())
    defs = fmt::format(
        "<defs><pattern id=\"{0}-h1\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" "
        "patternTransform=\"rotate(45)\"><path class=\"hatch\" d=\"M0 3h6\"/></pattern>"
        "<pattern id=\"{0}-h2\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">"
        "<path class=\"hatch\" d=\"M1 2.5h2\"/></pattern>"
        "<pattern id=\"{0}-h3\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">"
        "<path class=\"hatch\" d=\"M2.5 0v5\"/></pattern></defs>",
        id_);
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot {0}\" viewBox=\"0 0 {1:.0f} "
      "{2:.0f}\" width=\"{1:.0f}\" height=\"{2:.0f}\" role=\"img\" aria-labelledby=\"{3}-t "
      "{3}-d\">\n<title id=\"{3}-t\">{4}</title>\n<desc id=\"{3}-d\">{5}</desc>\n{6}{7}</svg>\n",
      name, width_, height, id_, escape_html(plot_.title), escape_html(plot_.description), defs,
      body_);
  return {std::move(svg), width_, height};
}

std::string svg_bar(const SvgCanvas& canvas, std::size_t series, double x, double y, double width,
                    double height) {
  const auto rect = [&](const std::string& fill) {
    return fmt::format(
        "<rect {} x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" rx=\"1.5\"/>", fill,
        x, y, std::max(width, 0.5), height);
  };
  std::string bar = rect(fmt::format("class=\"c{}\"", series % kPlotColours));
  if (const std::size_t hatch = series % 4; hatch > 0)
    bar += rect(fmt::format("fill=\"url(#{}-h{})\"", canvas.id(), hatch));
  return bar;
}

}  // namespace ridgeline::report
