#include "ridgeline/tools/report/text_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "ridgeline/text/utf8.h"
#include "ridgeline/tools/report/html_text.h"
#include "ridgeline/tools/report/label_placer.h"
#include "ridgeline/tools/report/plot_scale.h"
#include "ridgeline/tools/report/svg_canvas.h"

namespace ridgeline::report {
namespace {

// Of a Braille cell: two dots wide, four high (Unicode 15, block U+2800).
constexpr int kDotsWide = 2, kDotsHigh = 4;
constexpr char32_t kBraille = 0x2800;
constexpr unsigned kDots[kDotsHigh][kDotsWide] = {
    {0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
constexpr std::array<const char*, 8> kMarks{"●", "○", "■", "□", "▲", "△", "◆", "◇"};

class TextPlot {
 public:
  TextPlot(const Plot& plot, int columns, int rows) : plot_(plot), columns_(columns) {
    std::vector<double> xs, ys;
    for (const Series& s : plot.series)
      for (const Point& p : s.points) xs.push_back(p.x), ys.push_back(p.y);
    // Ticks on rows must not be closer than two, and key and axes take some rows.
    high_ = std::max(6, rows - 4 - key_rows());
    y_ = PlotScale(plot.y, ys, high_ / 2);
    for (const Tick& tick : y_.ticks())
      margin_ = std::max(margin_, static_cast<int>(characters(tick.text)));
    wide_ = std::max(16, columns - margin_ - 2);
    x_ = PlotScale(plot.x, xs, wide_ / 9);
    const auto cells = static_cast<std::size_t>(wide_ * high_);
    dots_.assign(cells, 0);
    marks_.assign(cells, {});
  }

  std::string draw() {
    char letter = 'a';
    for (const Series& s : plot_.series)
      if (s.style != Series::Style::kPoints) draw_line(s);
    for (std::size_t i = 0; i < plot_.series.size(); ++i) {
      const Series& s = plot_.series[i];
      if (s.style == Series::Style::kRoof)
        letter_roof(s, letter++);
      else
        for (const Point& p : s.points)
          if (can_draw(p)) put_mark(column(p.x), row(p.y), kMarks[i % kMarks.size()]);
    }
    return frame() + key();
  }

 private:
  bool can_draw(const Point& p) const { return x_.can_show(p.x) && y_.can_show(p.y); }
  double column(double x) const { return x_.position(x) * (wide_ - 1); }
  double row(double y) const { return (1 - y_.position(y)) * (high_ - 1); }
  PlotBox area() const { return {0, 0, wide_ - 1.0, high_ - 1.0}; }
  std::size_t cell(int column, int row) const {
    return static_cast<std::size_t>(row * wide_ + column);
  }

  void put_mark(double at_column, double at_row, std::string mark) {
    const int c = static_cast<int>(std::lround(at_column)),
              r = static_cast<int>(std::lround(at_row));
    if (c >= 0 && c < wide_ && r >= 0 && r < high_) marks_[cell(c, r)] = std::move(mark);
  }

  std::vector<PlotSegment> segments(const Series& series) const {
    std::vector<PlotSegment> list;
    for (std::size_t i = 1; i < series.points.size(); ++i) {
      const Point &a = series.points[i - 1], &b = series.points[i];
      if (!can_draw(a) || !can_draw(b)) continue;
      if (const auto s = PlotSegment{column(a.x), row(a.y), column(b.x), row(b.y)}.clipped(area()))
        list.push_back(*s);
    }
    return list;
  }

  void draw_line(const Series& series) {
    for (const PlotSegment& s : segments(series)) {
      const double dx = s.x1 - s.x0, dy = s.y1 - s.y0;
      const int steps =
          1 + static_cast<int>(std::max(std::fabs(dx) * kDotsWide, std::fabs(dy) * kDotsHigh));
      for (int i = 0; i <= steps; ++i) {
        const double t = static_cast<double>(i) / steps;
        // A cell's middle is where its row or column number is.
        const int x = static_cast<int>(std::floor((s.x0 + t * dx + 0.5) * kDotsWide));
        const int y = static_cast<int>(std::floor((s.y0 + t * dy + 0.5) * kDotsHigh));
        const int c = std::clamp(x / kDotsWide, 0, wide_ - 1),
                  r = std::clamp(y / kDotsHigh, 0, high_ - 1);
        dots_[cell(c, r)] |= kDots[y % kDotsHigh][x % kDotsWide];
      }
    }
  }

  /// At the end of a flat one, near the beginning of a slope; further on where that is taken.
  void letter_roof(const Series& roof, char letter) {
    const std::vector<PlotSegment> parts = segments(roof);
    if (parts.empty()) return;
    const bool is_flat = parts.back().y0 == parts.back().y1;
    const PlotSegment& s = is_flat ? parts.back() : parts.front();
    for (int i = 1; i < 20; ++i) {
      const double t = is_flat ? 1 - 0.05 * i : 0.05 * i;
      const double c = s.x0 + t * (s.x1 - s.x0), r = s.y0 + t * (s.y1 - s.y0);
      if (!marks_[cell(static_cast<int>(std::lround(c)), static_cast<int>(std::lround(r)))].empty())
        continue;
      put_mark(c, r, std::string(1, letter));
      return;
    }
  }

  std::string frame() const {
    std::string text =
        std::string(static_cast<std::size_t>(margin_) + 1, ' ') + axis_title(plot_.y) + "\n";
    for (int r = 0; r < high_; ++r) {
      std::string number;
      for (const Tick& tick : y_.ticks())
        if (std::lround(row(tick.value)) == r && !tick.text.empty()) number = tick.text;
      const auto space = static_cast<std::size_t>(margin_) - characters(number);
      text += std::string(space, ' ') + number + (number.empty() ? " │" : " ┤");
      std::string line;
      for (int c = 0; c < wide_; ++c) {
        const std::size_t at = cell(c, r);
        if (!marks_[at].empty())
          line += marks_[at];
        else if (dots_[at] != 0)
          append_utf8(kBraille + dots_[at], line);
        else
          line += ' ';
      }
      text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    }
    return text + x_axis();
  }

  std::string x_axis() const {
    std::string rule, numbers(static_cast<std::size_t>(wide_), ' ');
    std::vector<bool> has_tick(static_cast<std::size_t>(wide_));
    for (const Tick& tick : x_.ticks()) {
      const int c = static_cast<int>(std::lround(column(tick.value)));
      if (tick.text.empty() || c < 0 || c >= wide_) continue;
      has_tick[static_cast<std::size_t>(c)] = true;
      const int length = static_cast<int>(tick.text.size());
      const int begin = std::clamp(c - length / 2, 0, std::max(0, wide_ - length));
      numbers.replace(static_cast<std::size_t>(begin), static_cast<std::size_t>(length), tick.text);
    }
    for (const bool tick : has_tick) rule += tick ? "┬" : "─";
    const std::string indent(static_cast<std::size_t>(margin_) + 1, ' ');
    const std::string title = axis_title(plot_.x);
    const auto middle = std::max(0, (wide_ - static_cast<int>(characters(title))) / 2);
    return indent + "└" + rule + "\n" + indent + " " +
           numbers.substr(0, numbers.find_last_not_of(' ') + 1) + "\n" + indent + " " +
           std::string(static_cast<std::size_t>(middle), ' ') + title + "\n";
  }

  std::vector<std::string> key_entries() const {
    std::vector<std::string> entries;
    char letter = 'a';
    for (std::size_t i = 0; i < plot_.series.size(); ++i) {
      const Series& s = plot_.series[i];
      const std::string mark =
          s.style == Series::Style::kRoof ? std::string(1, letter++) : kMarks[i % kMarks.size()];
      entries.push_back(mark + " " + s.title);
    }
    return entries;
  }

  std::string key() const {
    std::string text, line;
    for (const std::string& entry : key_entries()) {
      if (!line.empty() && static_cast<int>(characters(line) + 3 + characters(entry)) > columns_) {
        text += line + "\n";
        line.clear();
      }
      line += (line.empty() ? "" : "   ") + entry;
    }
    return text + line + "\n";
  }
  int key_rows() const { return static_cast<int>(std::ranges::count(key(), '\n')); }

  const Plot& plot_;
  int columns_, wide_ = 0, high_ = 0, margin_ = 1;
  PlotScale x_{Axis{}, {}, 2}, y_{Axis{}, {}, 2};
  std::vector<unsigned> dots_;
  std::vector<std::string> marks_;
};

}  // namespace

std::string text_plot(const Plot& plot, int columns, int rows) {
  return TextPlot(plot, columns, rows).draw();
}

}  // namespace ridgeline::report
