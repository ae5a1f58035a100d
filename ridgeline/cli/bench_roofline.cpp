#include "ridgeline/tools/bench_roofline.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>

#include "ridgeline/cli/bench.h"
#include "ridgeline/cli/engine_arguments.h"
#include "ridgeline/cli/report_arguments.h"
#include "ridgeline/cli/table.h"
#include "ridgeline/platform/atomic_file.h"
#include "ridgeline/tools/inspect.h"
#include "ridgeline/tools/report/svg_plot.h"
#include "ridgeline/tools/report/text_plot.h"

namespace ridgeline::cli {
namespace {

struct BenchRooflineArguments {
  EngineArguments engine;
  RooflineOptions options;
  ReportArguments report;
  std::string svg, json;
};

Status check_range(const auto& list, const char* flag, std::int64_t least, std::int64_t most) {
  for (const auto n : list)
    if (n < least || n > most)
      return fail(fmt::format("{} {}: expected {} to {}", flag, n, least, most));
  return {};
}

Status check(const RooflineOptions& options) {
  constexpr std::int64_t kLongest = std::int64_t{1} << 24;
  RIDGELINE_TRY_STATUS(check_range(options.prompts, "--n-prompt", 1, kLongest));
  RIDGELINE_TRY_STATUS(check_range(options.depths, "--n-depth", 0, kLongest));
  return check_range(options.streams, "--streams", 1, 1 << 14);
}

/// "-" is standard output.
Status write_file(const std::string& path, std::string_view text) {
  if (path == "-") {
    fmt::print("{}", text);
    return {};
  }
  RIDGELINE_TRY(AtomicFile file, AtomicFile::create(path, text.size()));
  RIDGELINE_TRY_STATUS(file.write(0, std::as_bytes(std::span(text))));
  RIDGELINE_TRY(const MappedFile whole, file.publish());
  return {};
}

/// The types of the weights, the most common first: "Q4_0, F16".
std::string types_text(const FileReport& file) {
  std::vector<std::pair<std::size_t, std::string>> types;
  for (const auto& [type, total] : file.types) types.emplace_back(total.bytes, type);
  std::ranges::sort(types, std::greater{});
  std::string text;
  for (const auto& [bytes, type] : types) text += (text.empty() ? "" : ", ") + type;
  return text;
}

int most_streams(const std::vector<RooflineWork>& works) {
  int streams = 1;
  for (const RooflineWork& w : works) streams = std::max(streams, w.work.streams);
  return streams;
}

/// A context and a step that the works fit in.
void reserve(EngineArguments& loaded, const ModelConfig& config,
             const std::vector<RooflineWork>& works) {
  // What measure_roofline() tries first.
  std::int64_t positions = std::min(kRooflinePilotTokens, config.context_length);
  for (const RooflineWork& w : works) positions = std::max(positions, w.work.depth + w.work.tokens);
  if (loaded.context == 0) loaded.context = positions;
  loaded.batch_tokens = std::max<std::int64_t>(loaded.batch_tokens, most_streams(works));
}

/// Many streams are short and the long one is alone, so there need not be many long ones' memory.
std::uint64_t kv_budget(const FileReport& file, DType type, std::int64_t context,
                        const std::vector<RooflineWork>& works) {
  constexpr std::int64_t kRound = 32;  // no less than two blocks each
  const auto bytes = [&](std::int64_t tokens) {
    return static_cast<double>(file.kv_bytes(type, (tokens / kRound + 1) * kRound));
  };
  double most = bytes(context);
  for (const RooflineWork& w : works)
    most = std::max(most, w.work.streams * bytes(w.work.depth + w.work.tokens));
  // Scales, and what is lost to whole blocks.
  return static_cast<std::uint64_t>(1.1 * most) + (std::uint64_t{4} << 20);
}

/// What fits on a terminal; report and JSON have the rest.
void print_lines(const RooflineReport& found) {
  Table table(OutputFormat::kTable, {{"work", "work", 0, 1, 20},
                                     {"intensity", "op/byte", 1},
                                     {"rate", "GOP/s", 1, 1e-9},
                                     {"roof", "roof", 1, 1e-9},
                                     {"share", "of roof, %", 1, 100},
                                     {"bound", "bound by", 0, 1, 10},
                                     {"tokens", "tok/s", 1}});
  const auto known = [](double v) { return Table::cell(v > 0 ? std::optional(v) : std::nullopt); };
  for (const RooflineReport::Line& line : found.lines)
    table.row({line.work.kind == RooflineWork::Kind::kStreams
                   ? describe(line.work)
                   : fmt::format("{}, {}", name(line.work.kind), describe(line.work)),
               line.measured.roofline().intensity, line.ops_per_second(),
               known(line.roof_ops_per_second()), known(line.measured.share()),
               std::string(line.measured.roofline().memory_bound() ? "memory" : "arithmetic"),
               line.measured.tokens_per_second()});
  for (const std::string& note : found.notes) table.note(note);
}

Status bench_roofline(BenchRooflineArguments arguments) {
  RIDGELINE_TRY_STATUS(check(arguments.options));
  if (arguments.svg == "-" && arguments.json == "-")
    return fail("--svg and --json cannot both go to standard output");
  RIDGELINE_TRY_STATUS(arguments.report.check("roofline"));
  EngineArguments& loaded = arguments.engine;
  RIDGELINE_TRY(const std::string path, loaded.model_path());
  RIDGELINE_TRY(EngineOptions engine_options, loaded.options());
  RIDGELINE_TRY(const FileReport file, inspect_file(path, engine_options.quantize));
  if (!file.config) return fail(fmt::format("{}: {}", path, file.unsupported));
  RooflineOptions& options = arguments.options;
  options.pin = !loaded.no_pin;
  const std::vector<RooflineWork> works =
      roofline_works(options, loaded.context > 0 ? loaded.context : file.config->context_length);
  reserve(loaded, *file.config, works);
  const int streams = most_streams(works);
  if (loaded.kv_memory.empty())
    loaded.kv_memory =
        std::to_string(kv_budget(file, engine_options.kv_type, loaded.context, works));
  RIDGELINE_TRY(const std::unique_ptr<Engine> engine, loaded.load(streams));
  const ModelCost cost =
      model_cost(engine->config(), file.tensors, *find_kernels(engine->backend().isa()),
                 engine_options.backend.activations, engine->kv_sizes().bytes_seen(1));
  options.after_each = [](const Measurement&) {
    if (isatty(STDERR_FILENO)) fmt::print(stderr, ".");
  };
  RIDGELINE_TRY(RooflineReport found, measure_roofline(*engine, cost, works, options));
  if (isatty(STDERR_FILENO)) fmt::print(stderr, "\r\033[K");
  found.model = path;
  found.types = types_text(file);

  if (arguments.json != "-" && arguments.svg != "-") {
    fmt::print("{}: {}, {}, {} threads\n\n{}", path, found.types, found.isa, found.threads,
               report::text_plot(roofline_plot(found)));
    print_lines(found);
  }
  if (!arguments.svg.empty())
    RIDGELINE_TRY_STATUS(write_file(arguments.svg, report::svg_file(roofline_plot(found))));
  if (!arguments.json.empty())
    RIDGELINE_TRY_STATUS(write_file(arguments.json, to_json(found).dump(2) + "\n"));
  report::Section section =
      new_section("roofline", "Roofline: how near to what the machine can do");
  add_roofline(found, section);
  return arguments.report.write(section);
}

}  // namespace

void add_bench_roofline(CLI::App& bench, Action& action) {
  auto arguments = std::make_shared<BenchRooflineArguments>();
  CLI::App* command = bench.add_subcommand(
      "roofline", "prefill, decode and batches under the machine's measured roofs, drawn");
  arguments->engine.add_to(*command, /*model_required=*/false, /*with_context=*/false);
  command
      ->add_option("-c,--ctx-size", arguments->engine.context,
                   "tokens of context; 0: what is measured needs. Longer lines are left out")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 30));
  const auto list = [&](const char* flags, auto& values, const char* what) {
    command->add_option(flags, values, what)->delimiter(',')->capture_default_str();
  };
  list("-p,--n-prompt", arguments->options.prompts, "prompt tokens, e.g. 128,512");
  list("-d,--n-depth", arguments->options.depths, "tokens in the cache before decoding");
  list("-b,--streams", arguments->options.streams, "sequences that decode side by side");
  command
      ->add_option("--seconds", arguments->options.seconds,
                   "about how long to measure; the longest lines are left out for it")
      ->check(CLI::Range(0.1, 1e5))
      ->capture_default_str();
  arguments->report.add_to(*command);
  command->add_option("--svg", arguments->svg, "file for the drawing; -: in place of the tables");
  command->add_option("--json", arguments->json,
                      "file for everything as JSON; -: in place of the tables");
  command->callback(
      [arguments, &action] { action = [arguments] { return bench_roofline(*arguments); }; });
}

}  // namespace ridgeline::cli
