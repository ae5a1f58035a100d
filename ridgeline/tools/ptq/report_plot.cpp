#include "ridgeline/tools/ptq/report_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "ridgeline/base/check.h"
#include "ridgeline/text/utf8.h"

namespace ridgeline::ptq {
namespace {

constexpr int kLeft = 40, kRight = 14, kTop = 8, kBottom = 36;

/// The smallest of 1, 2, 5, 10, ... that cuts `range` into at most `pieces`.
double tick_step(double range, int pieces) {
  double step = 1;
  for (int i = 0; range / step > pieces; ++i) step *= i % 3 == 1 ? 2.5 : 2;
  return step;
}

/// Marks differ in form as well as colour, for those who see or print few colours.
std::string mark(std::size_t i, double x, double y) {
  constexpr double r = 3.5;
  const std::size_t colour = i % kPlotColours;
  switch (i % 4) {
    case 0:
      return fmt::format("<circle class=\"c{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"/>", colour, x,
                         y, r);
    case 1:
      return fmt::format(
          "<rect class=\"c{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{}\" height=\"{}\"/>", colour,
          x - r + 0.3, y - r + 0.3, 2 * r - 0.6, 2 * r - 0.6);
    case 2:
      return fmt::format("<path class=\"c{}\" d=\"M{:.1f} {:.1f}l4 7h-8z\"/>", colour, x, y - 4.3);
    default:
      return fmt::format("<path class=\"c{}\" d=\"M{:.1f} {:.1f}l4.4 4.4l-4.4 4.4l-4.4 -4.4z\"/>",
                         colour, x, y - 4.4);
  }
}

/// Beyond the colours there are, lines are broken.
std::string line_class(std::size_t i) {
  return fmt::format("line c{}{}", i % kPlotColours, i / kPlotColours % 2 == 1 ? " broken" : "");
}

class Plot {
 public:
  Plot(const std::vector<LayerSeries>& series, const PlotSize& size)
      : series_(series), name_(size.name), width_(size.width), height_(size.height) {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (const LayerSeries& s : series) {
      layers_ = std::max(layers_, s.values.size());
      for (const std::optional<double>& v : s.values) {
        if (!v) continue;
        low = std::min(low, *v);
        high = std::max(high, *v);
      }
    }
    RIDGELINE_CHECK(low <= high);
    step_ = tick_step(std::max(high - low, 1.0) * 1.1, height_ / 45);
    low_ = std::floor((low - 0.05 * step_) / step_) * step_;
    high_ = std::ceil((high + 0.05 * step_) / step_) * step_;
  }

  std::string draw(const std::string& what) {
    out_ = fmt::format(
        "<svg class=\"plot {0}\" viewBox=\"0 0 {1} {2}\" width=\"{1}\" height=\"{2}\" "
        "role=\"img\" aria-label=\"{3} by layer\">\n",
        name_, width_, height_, escape_html(what));
    draw_axes();
    for (std::size_t i = 0; i < series_.size(); ++i) draw_series(i);
    return out_ + "</svg>\n";
  }

 private:
  double x(std::size_t layer) const {
    const double span = layers_ > 1 ? static_cast<double>(layers_ - 1) : 1;
    const double inner = width_ - kLeft - kRight - 16;
    return kLeft + 8 + inner * (layers_ > 1 ? static_cast<double>(layer) / span : 0.5);
  }
  double y(double value) const {
    return height_ - kBottom - (value - low_) / (high_ - low_) * (height_ - kTop - kBottom);
  }
  template <class... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  void draw_axes() {
    const auto ticks = static_cast<int>(std::lround((high_ - low_) / step_));
    for (int i = 0; i <= ticks; ++i) {
      const double value = low_ + i * step_;
      put("<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", kLeft,
          width_ - kRight, y(value), y(value));
      put("<text class=\"y\" x=\"{}\" y=\"{:.1f}\">{:g}</text>\n", kLeft - 6, y(value) + 4, value);
    }
    const auto every = static_cast<std::size_t>(
        tick_step(static_cast<double>(layers_), std::max(2, (width_ - kLeft) / 50)));
    for (std::size_t layer = 0; layer < layers_; layer += every)
      put("<text class=\"x\" x=\"{:.1f}\" y=\"{}\">{}</text>\n", x(layer), height_ - kBottom + 16,
          layer);
    put("<text class=\"x\" x=\"{}\" y=\"{}\">layer</text>\n", (kLeft + width_ - kRight) / 2,
        height_ - 4);
  }

  void draw_series(std::size_t i) {
    const std::vector<std::optional<double>>& values = series_[i].values;
    std::string path, marks;
    bool is_drawing = false;
    for (std::size_t layer = 0; layer < values.size(); ++layer) {
      if (values[layer]) {
        const double at_x = x(layer), at_y = y(*values[layer]);
        path += fmt::format("{}{:.1f} {:.1f}", is_drawing ? 'L' : 'M', at_x, at_y);
        marks +=
            fmt::format("<g><title>{} of layer {}: {:.2f}</title>{}</g>",
                        escape_html(series_[i].label), layer, *values[layer], mark(i, at_x, at_y));
      }
      is_drawing = values[layer].has_value();
    }
    put("<path class=\"{}\" d=\"{}\"/>{}\n", line_class(i), path, marks);
  }

  const std::vector<LayerSeries>& series_;
  const char* name_;
  int width_, height_;
  std::size_t layers_ = 0;
  double low_ = 0, high_ = 1, step_ = 1;
  std::string out_;
};

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    const std::string_view bytes = text.substr(0, step.length_bytes);
    text.remove_prefix(step.length_bytes);
    const char32_t c = step.code_point;
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\'')
      out += "&#39;";
    else if (step.status != Utf8Step::Status::kCharacter || c < 0x20 || (c >= 0x7F && c < 0xA0))
      out += kReplacementUtf8;
    else
      out += bytes;
  }
  return out;
}

std::string layer_plot(const std::vector<LayerSeries>& series, const std::string& what,
                       const PlotSize& size) {
  return Plot(series, size).draw(what);
}

std::string series_mark(std::size_t i) {
  return fmt::format(
      "<svg class=\"key\" viewBox=\"0 0 30 12\" width=\"30\" height=\"12\" aria-hidden=\"true\">"
      "<path class=\"{}\" d=\"M1 6H29\"/>{}</svg>",
      line_class(i), mark(i, 15, 6));
}

}  // namespace ridgeline::ptq
