// What `bench roofline` found, for people and for scripts.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "ridgeline/tools/bench_roofline.h"

namespace ridgeline {
namespace {

using Kind = RooflineWork::Kind;
using report::Series;

constexpr double kGiga = 1e9;

std::string arithmetic_text(Arithmetic kind) {
  switch (kind) {
    case Arithmetic::kF32:
      return "f32";
    case Arithmetic::kBF16:
      return "bf16";
    case Arithmetic::kInt8:
      break;
  }
  return "int8";
}

std::string threads_text(int threads) {
  return threads == 1 ? "1 thread" : fmt::format("{} threads", threads);
}

/// The range of a logarithmic axis with some room around the points.
struct Range {
  double low = 0, high = 0;
  void add(double value) {
    if (!(value > 0) || !std::isfinite(value)) return;
    low = low == 0 ? value : std::min(low, value);
    high = std::max(high, value);
  }
};

/// Memory's slopes up to where they meet the highest peak; peaks from the steepest slope on.
void add_roofs(const RooflineReport& report, const Range& x, report::Plot& plot) {
  const Ceilings peaks = report.peaks();
  double top = 0;
  for (const Arithmetic kind : report.arithmetics()) top = std::max(top, peaks.peak(kind));
  const double most = report.most_bytes_per_second(), least = report.least_bytes_per_second();
  const auto add_slope = [&](double bytes_per_second, const char* of, int threads) {
    if (bytes_per_second <= 0) return;
    const double end = top > 0 ? std::min(x.high, top / bytes_per_second) : x.high;
    plot.series.push_back({.title = fmt::format("{:.1f} GB/s{}, {}", bytes_per_second / kGiga, of,
                                                threads_text(threads)),
                           .style = Series::Style::kRoof,
                           .points = {{x.low, x.low * bytes_per_second / kGiga},
                                      {end, end * bytes_per_second / kGiga}}});
  };
  if (most > 1.15 * least) {
    add_slope(most, " at most", report.threads);
    add_slope(least, " at least", report.threads);
  } else {
    add_slope(peaks.read_bytes_per_second, "", report.threads);
  }
  if (report.threads > 1) add_slope(report.one_thread_bytes_per_second, "", 1);
  const double steepest = most > 0 ? most : report.one_thread_bytes_per_second;
  for (const Arithmetic kind : report.arithmetics()) {
    const double peak = peaks.peak(kind);
    if (peak <= 0) continue;
    const double begin = steepest > 0 ? std::clamp(peak / steepest, x.low, x.high) : x.low;
    plot.series.push_back(
        {.title = fmt::format("{} {:.0f} GOP/s", arithmetic_text(kind), peak / kGiga),
         .style = Series::Style::kRoof,
         .points = {{begin, peak / kGiga}, {x.high, peak / kGiga}}});
  }
}

}  // namespace

report::Plot roofline_plot(const RooflineReport& report) {
  report::Plot plot;
  plot.title = "Roofline";
  plot.description =
      "How many operations a pass does for each byte that it must read from memory, and how fast: "
      "slopes are what memory allows, horizontal lines what arithmetic allows.";
  plot.x = {.title = "intensity", .unit = "operations/byte", .kind = report::Axis::Kind::kLog};
  plot.y = {.title = "rate", .unit = "GOP/s", .kind = report::Axis::Kind::kLog};
  Range x, y;
  for (const Kind kind : {Kind::kPrefill, Kind::kDecode, Kind::kStreams}) {
    Series series;
    series.title = name(kind);
    for (const RooflineReport::Line& line : report.lines) {
      if (line.work.kind != kind) continue;
      const double intensity = line.measured.roofline().intensity;
      const double rate = line.ops_per_second() / kGiga;
      x.add(intensity);
      y.add(rate);
      // One stream at no depth is what decode begins with, too.
      const bool is_twice = kind == Kind::kDecode && line.work.work.depth == 0 &&
                            std::ranges::any_of(report.lines, [](const RooflineReport::Line& l) {
                              return l.work.kind == Kind::kStreams && l.work.work.streams == 1;
                            });
      series.points.push_back({intensity, rate, is_twice ? std::string() : describe(line.work)});
    }
    if (!series.points.empty()) plot.series.push_back(std::move(series));
  }
  if (x.low == 0) x = {1, 1000};
  const Ceilings peaks = report.peaks();
  for (const Arithmetic kind : report.arithmetics()) {
    y.add(peaks.peak(kind) / kGiga);
    // Both parts of the roof are to be seen.
    if (const double most = report.most_bytes_per_second(); most > 0)
      x.add(peaks.peak(kind) / most);
  }
  x = {x.low / 3, x.high * 3};
  plot.x.low = x.low;
  plot.x.high = x.high;
  if (y.low > 0) {
    plot.y.low = y.low / 3;
    plot.y.high = y.high * 2;
  }
  add_roofs(report, x, plot);
  return plot;
}

report::Table roofline_table(const RooflineReport& report) {
  report::Table table;
  table.name = "lines";
  table.title = "Measured";
  table.columns = {{.name = "work", .left = true},
                   {.name = "intensity", .unit = "op/byte"},
                   {.name = "ridge", .unit = "op/byte"},
                   {.name = "rate", .unit = "GOP/s"},
                   {.name = "read", .unit = "GB/s", .decimals = 1},
                   {.name = "roof", .unit = "GOP/s"},
                   {.name = "of the roof", .unit = "%", .decimals = 1, .bars = true},
                   {.name = "bound by", .left = true},
                   {.name = "memory gave", .unit = "GB/s", .decimals = 1},
                   {.name = "tokens/s", .decimals = 1},
                   {.name = "± tokens/s", .decimals = 1}};
  for (const RooflineReport::Line& line : report.lines) {
    const Measurement& m = line.measured;
    const RooflinePoint point = m.roofline();
    const double read = m.ceilings().read_bytes_per_second;
    const auto known = [](double v) { return v > 0 ? report::Cell(v) : report::Cell(); };
    table.rows.push_back({line.work.kind == Kind::kStreams
                              ? describe(line.work)
                              : fmt::format("{}, {}", name(line.work.kind), describe(line.work)),
                          point.intensity, known(point.ridge), line.ops_per_second() / kGiga,
                          m.cost.bytes / m.median_seconds() / kGiga,
                          known(line.roof_ops_per_second() / kGiga), known(100 * m.share()),
                          point.memory_bound() ? "memory" : "arithmetic", known(read / kGiga),
                          m.tokens_per_second(), m.spread()});
  }
  table.notes = report.notes;
  return table;
}

void add_roofline(const RooflineReport& report, report::Section& section) {
  const Ceilings peaks = report.peaks();
  section.figures.push_back({"memory",
                             fmt::format("{:.1f} GB/s", peaks.read_bytes_per_second / kGiga),
                             fmt::format("read by {}; {:.1f} by 1", threads_text(report.threads),
                                         report.one_thread_bytes_per_second / kGiga)});
  for (const Arithmetic kind : report.arithmetics())
    section.figures.push_back({arithmetic_text(kind),
                               fmt::format("{:.0f} GOP/s", peaks.peak(kind) / kGiga),
                               "peak of " + threads_text(report.threads)});
  for (const Kind kind : {Kind::kPrefill, Kind::kDecode, Kind::kStreams}) {
    const RooflineReport::Line* best = nullptr;
    for (const RooflineReport::Line& line : report.lines)
      if (line.work.kind == kind &&
          (best == nullptr || line.measured.share() > best->measured.share()))
        best = &line;
    if (best != nullptr)
      section.figures.push_back({name(kind),
                                 fmt::format("{:.0f} % of the roof", 100 * best->measured.share()),
                                 fmt::format("{}: {:.1f} tokens/s", describe(best->work),
                                             best->measured.tokens_per_second())});
  }
  section.blocks.emplace_back(
      report::Paragraph{.text = fmt::format("{}: {}, kernels {}, {}.", report.model, report.types,
                                            report.isa, threads_text(report.threads))});
  section.blocks.emplace_back(roofline_plot(report));
  section.blocks.emplace_back(roofline_table(report));
  section.data = to_json(report).dump();
}

nlohmann::ordered_json to_json(const RooflineReport& report) {
  using Json = nlohmann::ordered_json;
  const auto ceilings = [](const Ceilings& c) {
    Json j{{"read_bytes_per_second", c.read_bytes_per_second}};
    for (const Arithmetic kind : {Arithmetic::kF32, Arithmetic::kBF16, Arithmetic::kInt8})
      if (c.peak(kind) > 0) j[arithmetic_text(kind) + "_ops_per_second"] = c.peak(kind);
    return j;
  };
  Json lines = Json::array();
  for (const RooflineReport::Line& line : report.lines) {
    const Measurement& m = line.measured;
    const RooflinePoint point = m.roofline();
    const auto known = [](double v) { return v > 0 ? Json(v) : Json(nullptr); };
    lines.push_back({{"work", name(line.work.kind)},
                     {"tokens", m.work.tokens},
                     {"depth", m.work.depth},
                     {"streams", m.work.streams},
                     {"ops_per_byte", point.intensity},
                     {"ridge_ops_per_byte", known(point.ridge)},
                     {"ops_per_second", line.ops_per_second()},
                     {"bytes_per_second", m.cost.bytes / m.median_seconds()},
                     {"roof_ops_per_second", known(line.roof_ops_per_second())},
                     {"share_of_roof", known(m.share())},
                     {"bound_by", point.memory_bound() ? "memory" : "compute"},
                     {"tokens_per_second", m.tokens_per_second()},
                     {"seconds", m.seconds},
                     {"ceilings", ceilings(m.ceilings())}});
  }
  return {{"model", report.model},
          {"types", report.types},
          {"isa", report.isa},
          {"threads", report.threads},
          {"weights_fit_in_cache", report.weights_fit_in_cache},
          {"one_thread_read_bytes_per_second", report.one_thread_bytes_per_second},
          {"ceilings", ceilings(report.peaks())},
          {"least_read_bytes_per_second", report.least_bytes_per_second()},
          {"most_read_bytes_per_second", report.most_bytes_per_second()},
          {"lines", std::move(lines)},
          {"notes", report.notes}};
}

}  // namespace ridgeline
