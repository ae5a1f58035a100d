#include "ridgeline/tools/report/svg_plot.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "ridgeline/tools/report/html_text.h"
#include "ridgeline/tools/report/label_placer.h"
#include "ridgeline/tools/report/page_style.h"
#include "ridgeline/tools/report/plot_scale.h"
#include "ridgeline/tools/report/svg_bars.h"
#include "ridgeline/tools/report/svg_canvas.h"

namespace ridgeline::report {
namespace {

constexpr double kTickRow = 16, kTitleRow = 20, kAxisTitleRow = 25, kTextHeight = 13, kMark = 5;

/// Points and lines over two axes.
class Points {
 public:
  Points(const Plot& plot, const PlotSize& size, const std::string& id)
      : plot_(plot), size_(size), canvas_(plot, size.width, id) {}

  SvgDrawing draw() {
    // Roofs come behind all others and say themselves what they are.
    std::vector<std::string> titles;
    for (const Series& s : plot_.series) titles.push_back(is_roof(s) ? std::string() : s.title);
    const double legend = canvas_.legend(titles, plot_);
    height_ = size_.height + std::max(0.0, legend - kLegendRow);
    set_scales(legend);
    draw_axes();
    collect_obstacles();
    for (const Series& s : plot_.series)
      if (is_roof(s)) draw_roof_line(s);
    for (std::size_t i = 0; i < plot_.series.size(); ++i)
      if (!is_roof(plot_.series[i])) draw_series(i);
    for (const Series& s : plot_.series)
      if (is_roof(s)) label_roof(s);
    for (const Series& s : plot_.series)
      if (!is_roof(s))
        for (const Point& p : s.points)
          if (is_shown(p)) put_label(p.x, p.y, p.label, "label");
    for (const Annotation& a : plot_.annotations)
      if (is_shown({a.x, a.y, {}})) put_label(a.x, a.y, a.text, "remark");
    return std::move(canvas_).close(size_.name, height_);
  }

 private:
  static bool is_roof(const Series& s) { return s.style == Series::Style::kRoof; }

  void set_scales(double top) {
    std::vector<double> xs, ys;
    for (const Series& s : plot_.series)
      for (const Point& p : s.points) xs.push_back(p.x), ys.push_back(p.y);
    area_ = {40, top + kAxisTitleRow, size_.width - 14.0, height_ - kTickRow - kTitleRow - 6};
    y_ = PlotScale(plot_.y, ys, static_cast<int>((area_.y1 - area_.y0) / 40));
    double widest = 0;
    for (const Tick& tick : y_.ticks()) widest = std::max(widest, text_width(tick.text));
    area_.x0 = widest + 10;
    x_ = PlotScale(plot_.x, xs, static_cast<int>((area_.x1 - area_.x0) / 62));
    placer_ = LabelPlacer(area_);
  }

  double px(double x) const { return area_.x0 + x_.position(x) * (area_.x1 - area_.x0); }
  double py(double y) const { return area_.y1 - y_.position(y) * (area_.y1 - area_.y0); }
  bool can_draw(const Point& p) const { return x_.can_show(p.x) && y_.can_show(p.y); }
  bool is_shown(const Point& p) const {
    if (!can_draw(p)) return false;
    const double x = x_.position(p.x), y = y_.position(p.y);
    return x > -1e-9 && x < 1 + 1e-9 && y > -1e-9 && y < 1 + 1e-9;
  }

  void draw_axes() {
    for (const Tick& tick : y_.ticks()) {
      canvas_.line(area_.x0, py(tick.value), area_.x1, py(tick.value),
                   tick.text.empty() ? "grid faint" : "grid");
      if (!tick.text.empty()) canvas_.text(area_.x0 - 6, py(tick.value) + 4, "y", tick.text);
    }
    for (const Tick& tick : x_.ticks()) {
      canvas_.line(px(tick.value), area_.y0, px(tick.value), area_.y1,
                   tick.text.empty() ? "grid faint" : "grid");
      if (tick.text.empty()) continue;
      // Centred, but not out of the picture.
      const double half = text_width(tick.text) / 2;
      canvas_.text(std::clamp(px(tick.value), half, size_.width - half), area_.y1 + kTickRow, "x",
                   tick.text);
    }
    canvas_.text(2, area_.y0 - 12, "axis", axis_title(plot_.y));
    canvas_.text((area_.x0 + area_.x1) / 2, height_ - 5, "x axis", axis_title(plot_.x));
    const bool is_empty = std::ranges::none_of(plot_.series, [&](const Series& s) {
      return std::ranges::any_of(s.points, [&](const Point& p) { return is_shown(p); });
    });
    if (is_empty)
      canvas_.text((area_.x0 + area_.x1) / 2, (area_.y0 + area_.y1) / 2, "x label",
                   "nothing was measured");
  }

  /// Between consecutive points, as far as they lie in the picture.
  std::vector<PlotSegment> segments(const Series& series) const {
    std::vector<PlotSegment> list;
    for (std::size_t i = 1; i < series.points.size(); ++i) {
      const Point &a = series.points[i - 1], &b = series.points[i];
      if (!can_draw(a) || !can_draw(b)) continue;
      if (const auto part = PlotSegment{px(a.x), py(a.y), px(b.x), py(b.y)}.clipped(area_))
        list.push_back(*part);
    }
    return list;
  }

  void collect_obstacles() {
    for (const Series& s : plot_.series) {
      if (s.style != Series::Style::kPoints)
        for (const PlotSegment& segment : segments(s)) placer_.add_line(segment);
      if (is_roof(s)) continue;
      for (const Point& p : s.points)
        if (is_shown(p))
          placer_.add_obstacle(
              {px(p.x) - kMark, py(p.y) - kMark, px(p.x) + kMark, py(p.y) + kMark});
    }
  }

  void draw_roof_line(const Series& roof) {
    canvas_.put("<g><title>{}</title>\n", escape_html(roof.title));
    for (const PlotSegment& s : segments(roof)) canvas_.line(s.x0, s.y0, s.x1, s.y1, "roof");
    canvas_.put("</g>\n");
  }

  void draw_series(std::size_t i) {
    const Series& series = plot_.series[i];
    if (series.style == Series::Style::kLine) {
      std::string path;
      double x = -1, y = -1;
      for (const PlotSegment& s : segments(series)) {
        if (s.x0 != x || s.y0 != y) path += fmt::format("M{:.1f} {:.1f}", s.x0, s.y0);
        path += fmt::format("L{:.1f} {:.1f}", s.x1, s.y1);
        x = s.x1, y = s.y1;
      }
      if (!path.empty()) canvas_.put("<path class=\"{}\" d=\"{}\"/>\n", line_class(i), path);
    }
    for (const Point& p : series.points)
      if (is_shown(p))
        canvas_.put("<g><title>{}</title>{}</g>\n", escape_html(described(series, p)),
                    svg_mark(i, px(p.x), py(p.y)));
  }

  std::string described(const Series& series, const Point& p) const {
    const auto value = [](const Axis& axis, double v) {
      const bool is_short = std::fabs(v) >= 1e-3 && std::fabs(v) < 1e5;
      return fmt::format("{} {}{}{}", axis.title,
                         is_short ? fmt::format("{:.4g}", v) : figure_text(v),
                         axis.unit.empty() ? "" : " ", axis.unit);
    };
    return fmt::format("{}{}{}: {}, {}", series.title, p.label.empty() ? "" : ", ", p.label,
                       value(plot_.x, p.x), value(plot_.y, p.y));
  }

  void put_label(double x, double y, const std::string& text, const char* classes) {
    if (text.empty()) return;
    if (const auto box = placer_.place_beside(px(x), py(y), text_width(text), kTextHeight))
      canvas_.text((box->x0 + box->x1) / 2, box->y1 - 2.5, (std::string("x ") + classes).c_str(),
                   text);
  }

  /// Its title or, where that is too long, what stands in it before the comma.
  void label_roof(const Series& roof) {
    if (roof.title.empty() || put_along(roof, roof.title)) return;
    if (const std::size_t comma = roof.title.find(','); comma != std::string::npos)
      put_along(roof, roof.title.substr(0, comma));
  }

  /// Along the roof's longest part, above it or else beneath, where there is nothing else.
  bool put_along(const Series& roof, const std::string& title) {
    const std::vector<PlotSegment> parts = segments(roof);
    if (parts.empty()) return false;
    const auto length = [](const PlotSegment& s) { return std::hypot(s.x1 - s.x0, s.y1 - s.y0); };
    const PlotSegment part = *std::ranges::max_element(parts, {}, length);
    const double whole = length(part), text = text_width(title);
    if (whole < text + 8) return false;
    const double ux = (part.x1 - part.x0) / whole, uy = (part.y1 - part.y0) / whole;
    const double angle = std::atan2(uy, ux) * 180 / std::numbers::pi;
    for (const double away : {-6.0, 15.0})
      for (int step = 0; step <= 20; ++step) {
        // A slope's from below on, a flat one's from the right on.
        const double share = 0.05 * (std::fabs(uy) > 0.05 ? step : 20 - step);
        const double begin = 4 + share * (whole - text - 8);
        const double x = part.x0 + ux * begin - uy * away, y = part.y0 + uy * begin + ux * away;
        const std::vector<PlotBox> boxes = boxes_along(x, y, ux, uy, text);
        if (!std::ranges::all_of(boxes, [&](const PlotBox& box) { return placer_.is_free(box); }))
          continue;
        for (const PlotBox& box : boxes) placer_.add_obstacle(box);
        canvas_.put(
            "<text class=\"along\" transform=\"translate({:.1f} {:.1f}) rotate({:.2f})\">{}"
            "</text>\n",
            x, y, angle, escape_html(title));
        return true;
      }
    return false;
  }

  /// What a slanted text covers, in small pieces.
  static std::vector<PlotBox> boxes_along(double x, double y, double ux, double uy, double text) {
    std::vector<PlotBox> boxes;
    constexpr double kPiece = 8;
    for (double at = 0; at < text; at += kPiece) {
      // The middle of the letters lies 4 pixels above the base line.
      const double cx = x + ux * (at + kPiece / 2) + uy * 4,
                   cy = y + uy * (at + kPiece / 2) - ux * 4;
      boxes.push_back({cx - 6, cy - 6, cx + 6, cy + 6});
    }
    return boxes;
  }

  const Plot& plot_;
  const PlotSize& size_;
  SvgCanvas canvas_;
  double height_ = 0;
  PlotBox area_;
  PlotScale x_{Axis{}, {}, 2}, y_{Axis{}, {}, 2};
  LabelPlacer placer_{area_};
};

}  // namespace

SvgDrawing svg_plot(const Plot& plot, const PlotSize& size, const std::string& id) {
  return plot.is_bars() ? svg_bars(plot, size, id) : Points(plot, size, id).draw();
}

std::string svg_file(const Plot& plot) {
  constexpr double kHeading = 44, kMargin = 16;
  SvgDrawing inner = svg_plot(plot, kWidePlot, "plot");
  inner.svg.insert(std::string_view("<svg ").size(),
                   fmt::format("x=\"{}\" y=\"{}\" ", kMargin, kHeading));
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\">\n<style>{2}</style>\n<rect class=\"ground\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\"/>\n<text class=\"heading\" x=\"{3}\" y=\"28\">{4}</text>\n{5}</svg>\n",
      inner.width + 2 * kMargin, inner.height + kHeading + kMargin, kPlotStyle, kMargin,
      escape_html(plot.title), inner.svg);
}

}  // namespace ridgeline::report
