#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "ridgeline/cli/commands.h"
#include "ridgeline/cli/doctor_json.h"
#include "ridgeline/cli/engine_arguments.h"
#include "ridgeline/cli/model_argument.h"
#include "ridgeline/cli/table.h"
#include "ridgeline/model/model_file.h"

namespace ridgeline::cli {
namespace {

using Json = nlohmann::ordered_json;
using doctor::Finding;
using doctor::ModelDiagnosis;
using doctor::Severity;

struct DoctorArguments {
  EngineArguments engine;
  bool json = false;
  bool no_measure = false;
};

std::string size_text(double bytes) { return doctor::bytes_text(bytes); }
std::string size_text(std::uint64_t bytes) {
  return doctor::bytes_text(static_cast<double>(bytes));
}

/// What takes seconds says so, on a terminal.
void say(const char* what) {
  if (isatty(STDERR_FILENO)) fmt::print(stderr, "\r\033[K{}", what);
}

// ---- text ----

constexpr int kWhatWidth = 20;

void print_findings(const char* title, const std::vector<Finding>& findings) {
  fmt::print("{}\n", title);
  for (const Finding& f : findings) {
    fmt::print("  {:<8} {:<{}} {}\n", name(f.severity), f.what, kWhatWidth, f.found);
    if (!f.advice.empty()) fmt::print("  {:<8} {:<{}} → {}\n", "", "", kWhatWidth, f.advice);
    if (!f.command.empty()) fmt::print("  {:<8} {:<{}}   $ {}\n", "", "", kWhatWidth, f.command);
  }
  fmt::print("\n");
}

void print_summary(const std::vector<Finding>& findings) {
  const auto count = [&](Severity severity) {
    return std::ranges::count(findings, severity, &Finding::severity);
  };
  const auto text = [](auto n, const char* one, const char* many) {
    return fmt::format("{} {}", n, n == 1 ? one : many);
  };
  fmt::print("{}, {}, {} in order.\n", text(count(Severity::kWarning), "warning", "warnings"),
             text(count(Severity::kAdvice), "piece of advice", "pieces of advice"),
             text(count(Severity::kOk), "item", "items"));
}

std::string seconds_text(double seconds) {
  return seconds < 1 ? fmt::format("{:.0f} ms", 1e3 * seconds) : fmt::format("{:.2f} s", seconds);
}

void print_fit(const ModelDiagnosis& d) {
  fmt::print("\nModel {}: {}{}, {:.2f} M parameters, {}, file {}\n", d.path, d.architecture,
             d.name.empty() ? "" : " (" + d.name + ")", static_cast<double>(d.parameters) * 1e-6,
             d.types, size_text(d.file_bytes));
  fmt::print(
      "  weights {} as packed, workspace {} at {} rows a step, KV cache {} a token ({}; {} "
      "in Q8_0)\n",
      size_text(d.fit.weight_bytes), size_text(d.fit.workspace_bytes), d.batch_tokens,
      size_text(d.fit.kv.bytes_seen(1)), name(d.kv_type), size_text(d.small_fit.kv.bytes_seen(1)));
  if (!d.cannot_run.empty()) {
    fmt::print("  does not fit: {}\n", d.cannot_run);
    return;
  }
  fmt::print(
      "  fits in the {} that are free: a context of {} for one sequence{} (trained for {})\n",
      size_text(d.fit.available_bytes), d.fit.longest_context(),
      d.small_fit.longest_context() > d.fit.longest_context()
          ? fmt::format(", {} with -ctk q8_0", d.small_fit.longest_context())
          : "",
      d.fit.trained_context);
  std::string streams;
  for (const auto& [context, count] : d.streams)
    streams += fmt::format("{}{} of {}", streams.empty() ? "" : ", ", count, context);
  fmt::print("  streams that fit: {}\n", streams);
}

void print_rates(const ModelDiagnosis& d) {
  fmt::print("\nKernels, measured on made-up weights{}\n",
             d.rates->read_memory()
                 ? fmt::format(" beside {:.1f} GB/s of memory", d.read_bytes_per_second * 1e-9)
                 : " that stay in the cache, as the model's will");
  Table table(OutputFormat::kTable, {{"type", "type"},
                                     {"bits", "bits/weight", 2},
                                     {"read", "1 row, GB/s", 1, 1e-9},
                                     {"share", "of memory, %", 0, 100},
                                     {"ops", "many rows, GOP/s", 0, 1e-9},
                                     {"peak", "of peak, %", 0, 100}});
  for (const ProductRate& p : d.rates->products) {
    const double peak = p.peak_ops_per_second;
    const double read = p.bytes_per_weight / p.knots.front().seconds_per_weight;
    const auto positive = [](double x) {
      return Table::cell(x > 0 ? std::optional(x) : std::nullopt);
    };
    table.row({std::string(name(p.type.dtype)), 8 * p.bytes_per_weight, read,
               positive(p.share_of_memory()), p.ops_per_second(),
               positive(peak > 0 ? p.ops_per_second() / peak : 0)});
  }
  const LayerRate& l = d.rates->layer;
  fmt::print(
      "\nBeside its products a layer takes {:.1f} µs for one row, {:.2f} µs for each of many, "
      "and {:.2f} ns for each position that a row sees ({:.2f} in prompts).\n",
      1e6 * l.seconds_one, 1e6 * l.seconds_per_row, 1e9 * l.seconds_per_position,
      1e9 * l.seconds_per_pair);
}

void print_predictions(const ModelDiagnosis& d) {
  fmt::print("\nPredicted\n");
  for (const doctor::Prediction& p : d.prompts)
    fmt::print("  first token of a prompt of {} tokens after {} ({:.1f} tok/s)\n", p.work.tokens,
               seconds_text(p.seconds), p.tokens_per_second());
  for (const doctor::Prediction& p : d.decodes)
    fmt::print("  decoding behind {} tokens: {:.1f} tok/s\n", p.work.depth, p.tokens_per_second());
  std::string batches;
  for (const doctor::StreamsPoint& p : d.batches)
    if (p.fits)
      batches +=
          fmt::format("{}{}: {:.1f}", batches.empty() ? "" : ", ", p.streams, p.tokens_per_second);
  if (!batches.empty()) fmt::print("  streams side by side, tok/s of all: {}\n", batches);
}

void print_types(const ModelDiagnosis& d) {
  fmt::print("\nIn other quantizations\n");
  Table table(OutputFormat::kTable, {{"type", "type"},
                                     {"bits", "bits/weight", 2},
                                     {"file", "file"},
                                     {"memory", "memory"},
                                     {"fits", "fits"},
                                     {"prefill", "prefill, tok/s", 1},
                                     {"decode", "decode, tok/s", 1}});
  for (const doctor::TypeOption& t : d.type_options)
    table.row({t.name + (t.is_current ? " (this)" : ""), t.bits_per_weight, size_text(t.file_bytes),
               size_text(t.weight_bytes), std::string(t.fits ? "yes" : "no"),
               t.prefill_tokens_per_second, t.decode_tokens_per_second});
  fmt::print(
      "Prefill of {} tokens, decoding behind {}. What is rounded loses accuracy: `ridgeline "
      "quantize` measures how much; start from 16 bits.\n",
      doctor::kPromptTokens, doctor::kDecodeDepth);
}

void print_checks(const ModelDiagnosis& d) {
  if (d.checks.empty()) {
    fmt::print("\nNot measured: {}.\n", d.no_check);
    return;
  }
  fmt::print("\nMeasured, beside what was predicted\n");
  Table table(OutputFormat::kTable, {{"test", "test"},
                                     {"tokens", "tokens"},
                                     {"depth", "depth"},
                                     {"pieces", "times"},
                                     {"predicted", "predicted, tok/s", 2},
                                     {"measured", "measured, tok/s", 2},
                                     {"error", "error, %", 1, 100},
                                     {"read", "read GB/s", 1, 1e-9}});
  for (const doctor::SpeedCheck& c : d.checks)
    table.row(
        {std::string(c.work.kind == ridgeline::Workload::Kind::kPrefill ? "prefill" : "decode"),
         c.work.tokens, c.work.depth, std::int64_t{c.pieces}, c.predicted_tokens_per_second,
         c.measured_tokens_per_second, c.error(), c.read_bytes_per_second});
  fmt::print("Loaded: weights {}, workspace {} ({} and {} predicted).\n",
             size_text(d.measured_memory.weight_bytes),
             size_text(d.measured_memory.workspace_bytes), size_text(d.fit.weight_bytes),
             size_text(d.fit.workspace_bytes));
}

void print_scenarios(const ModelDiagnosis& d) {
  for (const doctor::Scenario& s : d.scenarios) {
    fmt::print("\n{}: {}\n", s.name, s.goal);
    if (!s.prepare.empty()) fmt::print("  $ {}\n", s.prepare);
    fmt::print("  $ {}\n", s.command);
    fmt::print("  first token of 512 after {}, {:.1f} tok/s, {} of memory\n",
               seconds_text(s.ttft_seconds), s.tokens_per_second, size_text(s.memory_bytes));
    fmt::print("  {}.\n", s.reason);
  }
}

void print_model(const ModelDiagnosis& d) {
  print_fit(d);
  if (!d.rates) {
    fmt::print("  not predicted: {}\n", d.no_prediction);
    return;
  }
  print_rates(d);
  print_predictions(d);
  print_types(d);
  print_checks(d);
  print_scenarios(d);
}

// ---- the command ----

/// What was given beside -m and belongs to every command that runs the model.
std::string more_arguments(const EngineArguments& a) {
  std::string text;
  if (a.threads > 0) text += fmt::format(" -t {}", a.threads);
  if (a.no_pin) text += " --no-pin";
  if (!a.quantize.empty()) text += fmt::format(" --quantize {}", a.quantize);
  if (a.activations != "fast") text += fmt::format(" --activations {}", a.activations);
  if (!a.packed_cache.empty()) text += fmt::format(" --packed-cache {}", a.packed_cache);
  return text;
}

Result<ModelDiagnosis> diagnose(const DoctorArguments& arguments, const std::string& path,
                                const doctor::MachineSpeed& speed) {
  RIDGELINE_TRY(const EngineOptions options, arguments.engine.options());
  say("measuring kernels of the model's types ...");
  RIDGELINE_TRY(ModelDiagnosis d, doctor::diagnose_model(path, options, speed.all_threads,
                                                         more_arguments(arguments.engine)));
  if (!d.rates)
    d.no_check = d.no_prediction;
  else if (!d.cannot_run.empty())
    d.no_check = "the model does not fit";
  else if (arguments.no_measure)
    d.no_check = "--no-measure";
  else {
    say("loading the model and measuring ...");
    RIDGELINE_TRY_STATUS(doctor::check_predictions(d, options));
  }
  say("");
  return d;
}

Status run_doctor(const DoctorArguments& arguments) {
  const bool with_model = !arguments.engine.model.empty();
  std::string path;
  if (with_model) {
    // What cannot be run at all is said before anything is measured.
    RIDGELINE_TRY(path, resolve_model(arguments.engine.model));
    RIDGELINE_TRY(const EngineOptions options, arguments.engine.options());
    RIDGELINE_TRY(const ModelFile file,
                  ModelFile::open(path, {.quantize = options.quantize, .rope = options.rope}));
    if (const auto config = file.config(); !config) return fail(config.error().message);
  }
  say("measuring the machine ...");
  const doctor::MachineFacts facts = doctor::collect_machine_facts(arguments.engine.threads);
  const doctor::MachineSpeed speed = doctor::measure_machine(facts, !arguments.engine.no_pin);
  const std::vector<Finding> findings = doctor::machine_findings(facts, speed);
  say("");

  Json report;
  if (arguments.json) {
    report["machine"] = machine_json(facts, speed);
    report["findings"] = findings_json(findings);
  } else {
    print_findings("Processor", doctor::processor_findings(facts));
    print_findings("Memory", doctor::memory_findings(facts, speed));
    print_findings("System", doctor::system_findings(facts));
    print_summary(findings);
    std::fflush(stdout);
  }
  std::string cannot_run;
  if (with_model) {
    RIDGELINE_TRY(const ModelDiagnosis diagnosis, diagnose(arguments, path, speed));
    cannot_run = diagnosis.cannot_run;
    if (arguments.json)
      report["model"] = model_json(diagnosis);
    else
      print_model(diagnosis);
  }
  if (arguments.json)
    fmt::print("{}\n", report.dump(2, ' ', false, Json::error_handler_t::replace));
  if (!cannot_run.empty()) return fail(fmt::format("{}: {}", path, cannot_run));
  return {};
}

}  // namespace

void add_doctor(CLI::App& program, Action& action) {
  auto arguments = std::make_shared<DoctorArguments>();
  CLI::App* command = program.add_subcommand(
      "doctor", "what of the machine is used, what is misconfigured, and how a model will run");
  arguments->engine.add_to(*command, /*model_required=*/false);
  command->get_option("--model")->description(kModelHelp);
  command->add_flag("--no-measure", arguments->no_measure, "predict only: the model is not loaded");
  command->add_flag("--json", arguments->json, "one JSON object");
  command->callback(
      [arguments, &action] { action = [arguments] { return run_doctor(*arguments); }; });
}

}  // namespace ridgeline::cli
