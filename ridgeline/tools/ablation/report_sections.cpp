#include "ridgeline/tools/ablation/report_sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ridgeline {
namespace {

using report::Cell;
using report::Column;

/// With an asterisk where it was not measured but follows from shorter lengths.
Cell figure(const Figure& f, double scale = 1) {
  const double value = f.value * scale;
  return f.extrapolated ? Cell(value, report::figure_text(value) + "*") : Cell(value);
}

Cell times(const std::optional<double>& factor) {
  return factor ? Cell(*factor, report::figure_text(*factor) + "x") : Cell();
}

double megabytes(std::uint64_t bytes) { return static_cast<double>(bytes) * 1e-6; }

std::vector<const AblationRow*> measured_rows(const AblationReport& found) {
  std::vector<const AblationRow*> rows;
  for (const AblationRow& row : found.rows)
    if (row.left_out.empty()) rows.push_back(&row);
  return rows;
}

report::Table speed_table(const AblationReport& found) {
  report::Table table;
  table.name = "speed";
  table.title = "Speed, each row the one before it and one thing more";
  const std::string many = fmt::format("{} streams", found.options.streams);
  table.columns = {{.name = "configuration", .left = true},
                   {.name = "ISA", .left = true},
                   {.name = "TTFT", .unit = "ms"},
                   {.name = "one stream", .unit = "tok/s"},
                   {.name = "× before"},
                   {.name = "× baseline"},
                   {.name = "× honest start"},
                   {.name = many, .unit = "tok/s"},
                   {.name = many + " × before"},
                   {.name = many + " × baseline"},
                   {.name = many + " × honest start"}};
  for (const AblationRow* row : measured_rows(found))
    table.rows.push_back({row->config.title, row->isa, figure(row->one.ttft_seconds, 1e3),
                          figure(row->one.tokens_per_second), times(row->one_stream.before),
                          times(row->one_stream.baseline), times(row->one_stream.honest_start),
                          figure(row->throughput), times(row->many_streams.before),
                          times(row->many_streams.baseline),
                          times(row->many_streams.honest_start)});
  table.notes = found.notes;
  return table;
}

report::Table memory_table(const AblationReport& found) {
  report::Table table;
  table.name = "memory";
  table.title = "Memory and loss";
  table.columns = {{.name = "configuration", .left = true},
                   {.name = "weights", .unit = "MB"},
                   {.name = "KV", .unit = "MB"},
                   {.name = "workspace", .unit = "MB"},
                   {.name = "all", .unit = "MB", .bars = true},
                   {.name = "KV used", .unit = "%", .decimals = 1},
                   {.name = "perplexity", .decimals = 4},
                   {.name = "KL"},
                   {.name = "top-1", .unit = "%", .decimals = 2}};
  for (const AblationRow* row : measured_rows(found)) {
    const auto percent = [](const std::optional<double>& share) {
      return share ? Cell(100 * *share) : Cell();
    };
    table.rows.push_back({row->config.title, megabytes(row->weight_bytes),
                          row->config.cache ? Cell(megabytes(row->kv_bytes)) : Cell(),
                          megabytes(row->workspace_bytes), megabytes(row->total_bytes()),
                          percent(row->kv_utilisation), Cell(row->perplexity),
                          row->divergence ? Cell(std::max(0.0, row->divergence->kl_mean)) : Cell(),
                          row->divergence ? Cell(100 * row->divergence->top1) : Cell()});
  }
  return table;
}

report::Plot speed_plot(const AblationReport& found) {
  report::Plot plot;
  plot.title = "Tokens per second";
  plot.description = "Each configuration's rate of one stream and of all streams together.";
  plot.y = {.title = "tokens per second", .unit = "tok/s", .kind = report::Axis::Kind::kLog};
  report::Series one{.title = "one stream", .style = report::Series::Style::kBars};
  report::Series many{.title = fmt::format("{} streams", found.options.streams),
                      .style = report::Series::Style::kBars};
  for (const AblationRow* row : measured_rows(found)) {
    one.points.push_back({0, row->one.tokens_per_second.value, row->config.title});
    many.points.push_back({0, row->throughput.value, row->config.title});
  }
  plot.series = {std::move(one), std::move(many)};
  return plot;
}

report::Series growth(const std::string& title, const std::vector<GrowthPoint>& points) {
  report::Series series{.title = title};
  for (const GrowthPoint& p : points) series.points.push_back({p.length, 1e3 * p.seconds});
  return series;
}

report::Table attention_table(const ComplexityReport& found) {
  report::Table table;
  table.name = "attention";
  table.title = "Attention of one head over a prompt, head_dim 64, one thread";
  table.columns = {{.name = "positions", .decimals = 0},
                   {.name = "score matrix", .unit = "MB"},
                   {.name = "score matrix", .unit = "ms"},
                   {.name = "tiles", .unit = "MB"},
                   {.name = "tiles", .unit = "ms"}};
  const auto scaled = [](const std::optional<double>& value, double scale) {
    return value ? Cell(*value * scale) : Cell();
  };
  for (const ComplexityReport::Attention& a : found.attention)
    table.rows.push_back({a.positions, scaled(a.matrix_bytes, 1e-6), scaled(a.matrix_seconds, 1e3),
                          scaled(a.tile_bytes, 1e-6), scaled(a.tile_seconds, 1e3)});
  return table;
}

report::Table kv_table(const ComplexityReport& found) {
  report::Table table;
  table.name = "kv";
  table.title = "Bytes of KV cache for a token";
  table.columns = {
      {.name = "type", .left = true},
      {.name = "layers × KV heads × head_dim × bytes, K and V", .unit = "bytes", .decimals = 0},
      {.name = "a block's bytes / 16", .unit = "bytes", .decimals = 0}};
  for (const ComplexityReport::KvBytes& k : found.kv)
    table.rows.push_back({std::string(name(k.dtype)), k.formula, k.pool});
  return table;
}

}  // namespace

void add_ablation(const AblationReport& found, report::Section& section) {
  const AblationRow *first = found.first(), *last = found.last();
  section.blocks.push_back(report::Paragraph{
      .title = found.model,
      .text = fmt::format("{}, {} threads. One stream: a prompt of {} tokens, {} of output. An "
                          "asterisk: extrapolated from shorter lengths, as the notes say.",
                          found.cpu, found.threads, found.options.prompt_tokens,
                          found.options.output_tokens),
      .command = {}});
  if (first != nullptr && last != nullptr && first != last) {
    const double from = first->one.tokens_per_second.value, to = last->one.tokens_per_second.value;
    const bool guess =
        first->one.tokens_per_second.extrapolated || last->one.tokens_per_second.extrapolated;
    const auto before = static_cast<double>(first->total_bytes());
    const auto after = static_cast<double>(last->total_bytes());
    section.figures.push_back(
        {.name = "tokens per second, first row to last",
         .value = report::figure_text(to / from) + (guess ? "x*" : "x"),
         .note = fmt::format("{} → {}", report::figure_text(from), report::figure_text(to))});
    section.figures.push_back(
        {.name = "memory",
         .value = fmt::format("{:+.0f} %", 100 * (after / before - 1)),
         .note = fmt::format("{:.2f} → {:.2f} GB", before * 1e-9, after * 1e-9)});
    if (last->one_stream.honest_start)
      section.figures.push_back({.name = "over the honest start",
                                 .value = report::figure_text(*last->one_stream.honest_start) + "x",
                                 .note = "16 bits, KV cache, SIMD"});
  }
  section.blocks.push_back(speed_plot(found));
  section.blocks.push_back(speed_table(found));
  section.blocks.push_back(memory_table(found));
  section.data = to_json(found).dump();
}

void add_complexity(const ComplexityReport& found, report::Section& section) {
  section.blocks.push_back(report::Paragraph{
      .title = found.model,
      .text = fmt::format("{}, {}, {} threads.", found.cpu, found.isa, found.threads),
      .command = {}});
  report::Plot plot;
  plot.title = "A token behind n others";
  plot.description = "With the KV cache a step, without it a pass over the whole sequence.";
  plot.x = {.title = "tokens before it", .kind = report::Axis::Kind::kLog2};
  plot.y = {.title = "time", .unit = "ms", .kind = report::Axis::Kind::kLog};
  plot.series = {growth("with the cache", found.cached), growth("without", found.recomputed)};
  section.blocks.push_back(std::move(plot));
  section.blocks.push_back(report::Paragraph{
      .title = {},
      .text = fmt::format("Fitted: with the cache {:.3g} + {:.3g} n s; without {:.3g} n + {:.3g} "
                          "n² s.",
                          found.cached_fit.constant, found.cached_fit.linear,
                          found.recomputed_fit.linear, found.recomputed_fit.quadratic),
      .command = {}});
  section.blocks.push_back(attention_table(found));
  section.blocks.push_back(kv_table(found));
  for (const std::string& note : found.notes)
    section.blocks.push_back(report::Paragraph{.title = {}, .text = note, .command = {}});
  section.data = to_json(found).dump();
}

}  // namespace ridgeline
