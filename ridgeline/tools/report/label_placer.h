#pragma once

#include <optional>
#include <vector>

namespace ridgeline::report {

struct PlotBox {
  double x0 = 0, y0 = 0, x1 = 0, y1 = 0;
  bool overlaps(const PlotBox& o) const { return x0 < o.x1 && o.x0 < x1 && y0 < o.y1 && o.y0 < y1; }
  bool holds(const PlotBox& o) const {
    return o.x0 >= x0 && o.x1 <= x1 && o.y0 >= y0 && o.y1 <= y1;
  }
};

struct PlotSegment {
  double x0 = 0, y0 = 0, x1 = 0, y1 = 0;
  bool crosses(const PlotBox& box) const;
  /// The part of it that lies in the box, if there is one.
  std::optional<PlotSegment> clipped(const PlotBox& box) const;
};

/// Finds places for texts in a plot, where they lie on no other text and on no mark.
class LabelPlacer {
 public:
  explicit LabelPlacer(const PlotBox& area) : area_(area) {}

  void add_obstacle(const PlotBox& box) { boxes_.push_back(box); }
  void add_line(const PlotSegment& line) { lines_.push_back(line); }

  bool is_free(const PlotBox& box) const;
  /// Beside a mark at (x, y), over as few lines as can be helped. What is found is taken.
  std::optional<PlotBox> place_beside(double x, double y, double width, double height);

 private:
  PlotBox area_;
  std::vector<PlotBox> boxes_;
  std::vector<PlotSegment> lines_;
};

}  // namespace ridgeline::report
