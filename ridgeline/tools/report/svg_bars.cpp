#include "ridgeline/tools/report/svg_bars.h"

#include <algorithm>
#include <cmath>

#include "ridgeline/tools/report/html_text.h"
#include "ridgeline/tools/report/plot_scale.h"
#include "ridgeline/tools/report/svg_canvas.h"

namespace ridgeline::report {
namespace {

constexpr double kBar = 16, kBarGap = 3, kGroupGap = 10, kNameRow = 17;

class Bars {
 public:
  Bars(const Plot& plot, const PlotSize& size, const std::string& id)
      : plot_(plot), size_(size), canvas_(plot, size.width, id) {
    for (const Series& s : plot.series) groups_ = std::max(groups_, s.points.size());
  }

  SvgDrawing draw() {
    std::vector<std::string> titles;
    for (const Series& s : plot_.series) titles.push_back(s.title);
    double y = plot_.series.size() > 1 ? canvas_.legend(titles, plot_) : 0;
    measure();
    const double top = y;
    const double bottom = top + static_cast<double>(groups_) * group_height();
    draw_axis(top, bottom);
    for (std::size_t g = 0; g < groups_; ++g, y += group_height()) draw_group(g, y + kGroupGap / 2);
    return std::move(canvas_).close(size_.name, bottom + 40);
  }

 private:
  /// Names stand beside the bars where there is room, above them else.
  bool names_beside() const { return size_.width > 600; }
  std::size_t bars_of_group() const { return plot_.stacked ? 1 : plot_.series.size(); }
  double group_height() const {
    return static_cast<double>(bars_of_group()) * (kBar + kBarGap) + kGroupGap +
           (names_beside() ? 0 : kNameRow);
  }
  const std::string& name(std::size_t group) const {
    static const std::string none;
    for (const Series& s : plot_.series)
      if (group < s.points.size() && !s.points[group].label.empty()) return s.points[group].label;
    return none;
  }
  double value(std::size_t series, std::size_t group) const {
    const std::vector<Point>& points = plot_.series[series].points;
    return group < points.size() ? points[group].y : std::nan("");
  }

  void measure() {
    std::vector<double> ends;
    double value_width = 0;
    for (std::size_t g = 0; g < groups_; ++g) {
      double sum = 0;
      for (std::size_t s = 0; s < plot_.series.size(); ++s) {
        const double v = value(s, g);
        if (!std::isfinite(v)) continue;
        sum += v;
        if (!plot_.stacked) ends.push_back(v);
        value_width = std::max(value_width, text_width(figure_text(plot_.stacked ? sum : v)));
      }
      if (plot_.stacked) ends.push_back(sum);
    }
    if (plot_.y.kind == Axis::Kind::kLinear && !plot_.y.low) ends.push_back(0);
    const int pieces = size_.width / 90;
    scale_ = PlotScale(plot_.y, ends, pieces);
    left_ = 4;
    if (names_beside())
      for (std::size_t g = 0; g < groups_; ++g)
        left_ = std::max(left_, std::min(text_width(name(g)) + 14, 0.42 * size_.width));
    right_ = size_.width - value_width - 10;
  }

  double x(double v) const {
    return left_ + std::clamp(scale_.position(v), 0.0, 1.0) * (right_ - left_);
  }

  void draw_axis(double top, double bottom) {
    for (const Tick& tick : scale_.ticks()) {
      if (tick.text.empty()) continue;
      canvas_.line(x(tick.value), top, x(tick.value), bottom, "grid");
      canvas_.text(x(tick.value), bottom + 16, "x", tick.text);
    }
    canvas_.text((left_ + right_) / 2, bottom + 34, "x", axis_title(plot_.y));
  }

  void draw_group(std::size_t group, double y) {
    if (names_beside()) {
      // What is too long for its column is cut, and whole in the bars' titles.
      const double middle = y + static_cast<double>(bars_of_group()) * (kBar + kBarGap) / 2 + 3;
      canvas_.text(left_ - 8, middle, "y label", fitted(name(group), left_ - 12));
    } else {
      canvas_.text(left_, y + 12, "label", fitted(name(group), size_.width - 8));
      y += kNameRow;
    }
    double from = left_, sum = 0;
    for (std::size_t s = 0; s < plot_.series.size(); ++s) {
      const double v = value(s, group);
      if (scale_.can_show(v)) {
        const double begin = plot_.stacked ? from : left_;
        sum = plot_.stacked ? sum + v : v;
        const double end = x(sum);
        const std::string& title = plot_.series[s].title;
        canvas_.put("<g><title>{}{}{}: {}{}{}</title>{}</g>\n", escape_html(name(group)),
                    title.empty() ? "" : ", ", escape_html(title), figure_text(v),
                    plot_.y.unit.empty() ? "" : " ", escape_html(plot_.y.unit),
                    svg_bar(canvas_, s, begin, y, end - begin - (plot_.stacked ? 1 : 0), kBar));
        from = end;
      }
      const bool is_last = s + 1 == plot_.series.size();
      if (!plot_.stacked || is_last)
        canvas_.text((plot_.stacked        ? from
                      : scale_.can_show(v) ? x(v)
                                           : left_) +
                         5,
                     y + 12.5, "label", figure_text(plot_.stacked ? sum : v));
      if (!plot_.stacked) y += kBar + kBarGap;
    }
  }

  static std::string fitted(const std::string& text, double width) {
    if (text_width(text) <= width) return text;
    std::string cut = text;
    while (!cut.empty() && text_width(cut) + text_width("…") > width) {
      while (!cut.empty() && (cut.back() & 0xc0) == 0x80) cut.pop_back();
      if (!cut.empty()) cut.pop_back();
    }
    return cut + "…";
  }

  const Plot& plot_;
  const PlotSize& size_;
  SvgCanvas canvas_;
  std::size_t groups_ = 0;
  PlotScale scale_{Axis{}, {}, 2};
  double left_ = 0, right_ = 0;
};

}  // namespace

SvgDrawing svg_bars(const Plot& plot, const PlotSize& size, const std::string& id) {
  return Bars(plot, size, id).draw();
}

}  // namespace ridgeline::report
