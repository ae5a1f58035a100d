#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ridgeline::ptq {

/// `text` as HTML text or a quoted attribute: markup and control characters cannot come out, and
/// what is no UTF-8 becomes U+FFFD.
std::string escape_html(std::string_view text);

/// Values by layer of one kind of tensor. Absent where the layer has no such tensor.
struct LayerSeries {
  std::string label;
  std::vector<std::optional<double>> values;  ///< [layers]
};

/// Colours and marks that differ: series and types take them in turn.
inline constexpr int kPlotColours = 8;

struct PlotSize {
  const char* name;   ///< a further class of the <svg>
  int width, height;  ///< CSS pixels
};

/// Lines over the layers as SVG, with axes and marks; no legend. Colours are those of the classes
/// c0 ... c7, for a style sheet to give. `what` says for those who cannot see it what is drawn.
/// At least one value is there, and all are finite.
std::string layer_plot(const std::vector<LayerSeries>& series, const std::string& what,
                       const PlotSize& size);
/// The mark and line of the i-th series, for a legend.
std::string series_mark(std::size_t i);

}  // namespace ridgeline::ptq
