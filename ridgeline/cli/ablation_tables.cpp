#include "ridgeline/cli/ablation_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace ridgeline::cli {
namespace {

using Cells = TextCells;

std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string times(const std::optional<double>& factor) {
  return factor ? figure_text(*factor) + "x" : "–";
}

std::string megabytes(std::uint64_t bytes) {
  return figure_text(static_cast<double>(bytes) * 1e-6);
}

Cells speed_line(const AblationRow& row) {
  const Figure &ttft = row.one.ttft_seconds, &rate = row.one.tokens_per_second;
  return {row.config.title,
          row.isa,
          figure_text(ttft.value * 1e3, ttft.extrapolated),
          figure_text(rate.value, rate.extrapolated),
          times(row.one_stream.before),
          times(row.one_stream.baseline),
          times(row.one_stream.honest_start),
          figure_text(row.throughput.value, row.throughput.extrapolated),
          times(row.many_streams.before),
          times(row.many_streams.baseline),
          times(row.many_streams.honest_start)};
}

Cells memory_line(const AblationRow& row) {
  return {row.config.title,
          megabytes(row.weight_bytes),
          row.config.cache ? megabytes(row.kv_bytes) : "–",
          megabytes(row.workspace_bytes),
          megabytes(row.total_bytes()),
          row.kv_utilisation ? figure_text(100 * *row.kv_utilisation) : "–",
          row.perplexity ? fmt::format("{:.4f}", *row.perplexity) : "–",
          row.divergence ? fmt::format("{:.2g}", std::max(0.0, row.divergence->kl_mean)) : "–",
          row.divergence ? fmt::format("{:.2f}", 100 * row.divergence->top1) : "–"};
}

/// The table that this project began with: Llama-2-7B on a GPU, before and after all of it.
std::string reference(const AblationReport& report) {
  const AblationRow *first = report.first(), *last = report.last();
  if (first == nullptr || last == first) return "";
  std::vector<Cells> lines{{"", "literature (7B, GPU)", "here, first row", "last row", ""}};
  const auto changed = [](double from, double to) {
    return fmt::format("{:+.0f} %", 100 * (to / from - 1));
  };
  const auto faster = [](double from, double to) { return figure_text(to / from) + "x"; };
  const Figure &t0 = first->one.ttft_seconds, &t1 = last->one.ttft_seconds;
  lines.push_back({"TTFT, ms", "500 → 250, 2x", figure_text(1e3 * t0.value, t0.extrapolated),
                   figure_text(1e3 * t1.value, t1.extrapolated), faster(t1.value, t0.value)});
  const Figure &r0 = first->one.tokens_per_second, &r1 = last->one.tokens_per_second;
  lines.push_back({"tokens/s, one stream", "20 → 250, 12.5x",
                   figure_text(r0.value, r0.extrapolated), figure_text(r1.value, r1.extrapolated),
                   faster(r0.value, r1.value)});
  lines.push_back({fmt::format("tokens/s, {} streams", report.options.streams), "",
                   figure_text(first->throughput.value, first->throughput.extrapolated),
                   figure_text(last->throughput.value, last->throughput.extrapolated),
                   faster(first->throughput.value, last->throughput.value)});
  const auto m0 = static_cast<double>(first->total_bytes());
  const auto m1 = static_cast<double>(last->total_bytes());
  lines.push_back({"memory, GB", "14 → 8, −43 %", figure_text(m0 * 1e-9), figure_text(m1 * 1e-9),
                   changed(m0, m1)});
  const AblationRow* base = report.find(report.quality_base);
  if (base != nullptr && base->perplexity && last->perplexity)
    lines.push_back({"perplexity (loss)", "under 1 %", fmt::format("{:.4f}", *base->perplexity),
                     fmt::format("{:.4f}", *last->perplexity),
                     fmt::format("{:+.2f} %", 100 * (*last->perplexity / *base->perplexity - 1))});
  return markdown_table(lines);
}

}  // namespace

std::string markdown_table(const std::vector<TextCells>& lines) {
  std::vector<std::size_t> widths(lines.front().size());
  for (const Cells& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i)
      widths[i] = std::max(widths[i], characters(line[i]));
  std::string text;
  for (const Cells& line : lines) {
    text += '|';
    for (std::size_t i = 0; i < line.size(); ++i) {
      const std::string space(widths[i] - characters(line[i]), ' ');
      text += i == 0 ? " " + line[i] + space + " |" : " " + space + line[i] + " |";
    }
    text += '\n';
    if (&line != &lines.front()) continue;
    for (std::size_t i = 0; i < widths.size(); ++i)
      text += (i == 0 ? "| " : " ") + std::string(widths[i], '-') + (i == 0 ? " |" : ":|");
    text += '\n';
  }
  return text;
}

std::string figure_text(double value, bool extrapolated) {
  std::string text = "0";
  if (value != 0 && std::isfinite(value)) {
    // What rounding makes of it decides how many digits there are before the point.
    const double rounded = std::stod(fmt::format("{:.2e}", value));
    const int magnitude = static_cast<int>(std::floor(std::log10(std::fabs(rounded))));
    text = fmt::format("{:.{}f}", rounded, std::max(0, 2 - magnitude));
  }
  return text + (extrapolated ? "*" : "");
}

std::string ablation_tables(const AblationReport& report) {
  const std::string streams = std::to_string(report.options.streams);
  std::vector<Cells> speed{{"", "ISA", "TTFT, ms", "tok/s", "× before", "× baseline", "× honest",
                            "tok/s of " + streams, "× before", "× baseline", "× honest"}};
  std::vector<Cells> memory{{"", "weights, MB", "KV, MB", "workspace, MB", "all, MB", "KV used, %",
                             "perplexity", "KL", "top-1, %"}};
  for (const AblationRow& row : report.rows) {
    if (!row.left_out.empty()) continue;
    speed.push_back(speed_line(row));
    memory.push_back(memory_line(row));
  }
  std::string text = fmt::format("{}: {}, {} threads\n\n{}\n{}\n", report.model, report.cpu,
                                 report.threads, markdown_table(speed), markdown_table(memory));
  for (const std::string& note : report.notes) text += note + "\n";
  if (const std::string table = reference(report); !table.empty()) text += "\n" + table;
  return text;
}

std::string ablation_csv(const AblationReport& report) {
  std::string text =
      "id,isa,ttft_seconds,ttft_extrapolated,tokens_per_second,tokens_per_second_extrapolated,"
      "times_before,times_baseline,times_honest_start,throughput_tokens_per_second,"
      "throughput_extrapolated,throughput_times_before,throughput_times_baseline,"
      "throughput_times_honest_start,weight_bytes,kv_bytes,workspace_bytes,kv_utilisation,"
      "perplexity,kl_mean,top1\n";
  const auto number = [](const std::optional<double>& value) {
    return value ? fmt::format("{:.7g}", *value) : std::string();
  };
  for (const AblationRow& row : report.rows) {
    if (!row.left_out.empty()) continue;
    const auto& d = row.divergence;
    text += fmt::format(
        "{},{},{:.7g},{:d},{:.7g},{:d},{},{},{},{:.7g},{:d},{},{},{},{},{},{},{},{},{},{}\n",
        row.config.id, row.isa, row.one.ttft_seconds.value, row.one.ttft_seconds.extrapolated,
        row.one.tokens_per_second.value, row.one.tokens_per_second.extrapolated,
        number(row.one_stream.before), number(row.one_stream.baseline),
        number(row.one_stream.honest_start), row.throughput.value, row.throughput.extrapolated,
        number(row.many_streams.before), number(row.many_streams.baseline),
        number(row.many_streams.honest_start), row.weight_bytes, row.kv_bytes, row.workspace_bytes,
        number(row.kv_utilisation), number(row.perplexity), d ? number(d->kl_mean) : "",
        d ? number(d->top1) : "");
  }
  return text;
}

Status write_output(const std::string& path, const std::string& text) {
  if (path == "-") {
    fmt::print("{}", text);
    return {};
  }
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  if (file == nullptr) return fail(fmt::format("{}: {}", path, std::strerror(errno)));
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (std::fclose(file) != 0 || !written)
    return fail(fmt::format("{}: {}", path, std::strerror(errno)));
  return {};
}

}  // namespace ridgeline::cli
