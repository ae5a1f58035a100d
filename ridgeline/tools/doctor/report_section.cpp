#include "ridgeline/tools/doctor/report_section.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace ridgeline::doctor {
namespace {

using report::Cell;
using report::Tone;

Tone tone(Severity severity) {
  switch (severity) {
    case Severity::kOk:
      return Tone::kGood;
    case Severity::kAdvice:
      return Tone::kAdvice;
    case Severity::kWarning:
      return Tone::kWarning;
  }
  return Tone::kPlain;
}

report::Table checklist(const std::vector<Finding>& findings) {
  report::Table table;
  table.name = "checklist";
  table.title = "The machine";
  table.columns = {{.name = "", .left = true},
                   {.name = "what", .left = true},
                   {.name = "found", .left = true},
                   {.name = "advice", .left = true}};
  for (const Finding& f : findings)
    table.rows.push_back({Cell(std::string(name(f.severity)), tone(f.severity)), f.what, f.found,
                          f.command.empty() ? f.advice : f.advice + " " + f.command});
  return table;
}

report::Table types_table(const ModelDiagnosis& model) {
  report::Table table;
  table.name = "types";
  table.title = "In other quantizations, predicted";
  table.columns = {{.name = "type", .left = true},
                   {.name = "bits per weight", .decimals = 2},
                   {.name = "file", .unit = "MB"},
                   {.name = "in memory", .unit = "MB", .bars = true},
                   {.name = "fits", .left = true},
                   {.name = fmt::format("prefill of {}", kPromptTokens), .unit = "tok/s"},
                   {.name = fmt::format("decode behind {}", kDecodeDepth), .unit = "tok/s"}};
  for (const TypeOption& t : model.type_options)
    table.rows.push_back({t.is_current ? t.name + " (the file)" : t.name, t.bits_per_weight,
                          static_cast<double>(t.file_bytes) * 1e-6,
                          static_cast<double>(t.weight_bytes) * 1e-6, t.fits ? "yes" : "no",
                          t.prefill_tokens_per_second, t.decode_tokens_per_second});
  return table;
}

report::Table checks_table(const ModelDiagnosis& model) {
  report::Table table;
  table.name = "predictions";
  table.title = "Predicted, and then measured";
  table.columns = {{.name = "test", .left = true},
                   {.name = "tokens", .decimals = 0},
                   {.name = "depth", .decimals = 0},
                   {.name = "predicted", .unit = "tok/s"},
                   {.name = "measured", .unit = "tok/s"},
                   {.name = "error", .unit = "%", .decimals = 1},
                   {.name = "plain read beside it", .unit = "GB/s", .decimals = 1}};
  for (const SpeedCheck& c : model.checks)
    table.rows.push_back({c.work.kind == Workload::Kind::kPrefill ? "prefill" : "decode",
                          c.work.tokens, c.work.depth, c.predicted_tokens_per_second,
                          c.measured_tokens_per_second, 100 * c.error(),
                          c.read_bytes_per_second * 1e-9});
  if (!model.no_check.empty()) table.notes = {"Not measured: " + model.no_check + "."};
  return table;
}

report::Plot decode_plot(const ModelDiagnosis& model) {
  report::Plot plot;
  plot.title = "Decoding behind so many tokens, predicted";
  plot.description = "Tokens per second of one stream, by the context before the token.";
  plot.x = {.title = "tokens before it", .kind = report::Axis::Kind::kLog2};
  plot.y = {.title = "tokens per second", .unit = "tok/s"};
  report::Series line{.title = "predicted"};
  for (const Prediction& p : model.decodes)
    if (p.work.depth > 0)
      line.points.push_back({static_cast<double>(p.work.depth), p.tokens_per_second()});
  plot.series = {std::move(line)};
  return plot;
}

void add_model(const ModelDiagnosis& model, report::Section& section) {
  section.blocks.push_back(report::Paragraph{
      .title = model.path,
      .text =
          fmt::format("{}, {}: {:.0f} M parameters. Weights {}, KV cache {} a context of {} "
                      "tokens, {} of memory to be had. {}",
                      model.architecture, model.types, static_cast<double>(model.parameters) * 1e-6,
                      bytes_text(static_cast<double>(model.fit.weight_bytes)),
                      bytes_text(static_cast<double>(model.fit.kv.bytes(model.context))),
                      model.context, bytes_text(static_cast<double>(model.fit.available_bytes)),
                      model.cannot_run.empty() ? "It fits." : model.cannot_run + "."),
      .command = {}});
  if (!model.rates) {
    section.blocks.push_back(report::Paragraph{
        .title = {}, .text = "Not predicted: " + model.no_prediction + ".", .command = {}});
    return;
  }
  section.blocks.push_back(decode_plot(model));
  section.blocks.push_back(checks_table(model));
  section.blocks.push_back(types_table(model));
  for (const Scenario& s : model.scenarios)
    section.blocks.push_back(report::Paragraph{
        .title = s.name + ": " + s.goal,
        .text = fmt::format("{}. First token of 512 after {:.2f} s, {:.1f} tok/s, {} of memory.",
                            s.reason, s.ttft_seconds, s.tokens_per_second,
                            bytes_text(static_cast<double>(s.memory_bytes))),
        .command = s.prepare.empty() ? s.command : s.prepare + " && " + s.command});
}

}  // namespace

void add_diagnosis(const std::vector<Finding>& findings, const ModelDiagnosis* model,
                   report::Section& section) {
  const auto count = [&](Severity severity) {
    return std::ranges::count(findings, severity, &Finding::severity);
  };
  section.figures.push_back({.name = "warnings",
                             .value = std::to_string(count(Severity::kWarning)),
                             .note = fmt::format("{} in order, {} with advice",
                                                 count(Severity::kOk), count(Severity::kAdvice))});
  section.blocks.push_back(checklist(findings));
  if (model != nullptr) add_model(*model, section);
}

}  // namespace ridgeline::doctor
