#include "ridgeline/tools/report/label_placer.h"

#include <algorithm>
#include <utility>

namespace ridgeline::report {

// Liang and Barsky 1984: the range of t in which p + t d lies within all four sides.
std::optional<PlotSegment> PlotSegment::clipped(const PlotBox& box) const {
  const double dx = x1 - x0, dy = y1 - y0;
  double from = 0, to = 1;
  for (const auto& [d, room] :
       {std::pair{-dx, x0 - box.x0}, {dx, box.x1 - x0}, {-dy, y0 - box.y0}, {dy, box.y1 - y0}}) {
    if (d == 0) {
      if (room < 0) return std::nullopt;
    } else if (d < 0) {
      from = std::max(from, room / d);
    } else {
      to = std::min(to, room / d);
    }
  }
  if (from > to) return std::nullopt;
  return PlotSegment{x0 + from * dx, y0 + from * dy, x0 + to * dx, y0 + to * dy};
}

bool PlotSegment::crosses(const PlotBox& box) const { return clipped(box).has_value(); }

bool LabelPlacer::is_free(const PlotBox& box) const {
  return area_.holds(box) &&
         std::ranges::none_of(boxes_, [&](const PlotBox& b) { return b.overlaps(box); });
}

std::optional<PlotBox> LabelPlacer::place_beside(double x, double y, double width, double height) {
  constexpr double kGap = 7;
  std::vector<PlotBox> places;
  for (const double gap : {kGap, 2.2 * kGap}) {
    const double right = x + gap, left = x - gap - width, middle = x - width / 2;
    const double level = y - height / 2, above = y - gap - height, below = y + gap;
    const double slant = 0.4 * gap;  // beside and above at once
    for (const auto& [px, py] : {std::pair{right, level},
                                 {left, level},
                                 {middle, above},
                                 {middle, below},
                                 {right - slant, above + slant},
                                 {right - slant, below - slant},
                                 {left + slant, above + slant},
                                 {left + slant, below - slant}})
      places.push_back({px, py, px + width, py + height});
  }
  std::erase_if(places, [&](const PlotBox& box) { return !is_free(box); });
  if (places.empty()) return std::nullopt;
  const auto crossed = [&](const PlotBox& box) {
    return std::ranges::count_if(lines_, [&](const PlotSegment& l) { return l.crosses(box); });
  };
  boxes_.push_back(*std::ranges::min_element(places, {}, crossed));
  return boxes_.back();
}

}  // namespace ridgeline::report
