#include "ridgeline/tools/bench_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "ridgeline/cli/bench.h"
#include "ridgeline/cli/engine_arguments.h"
#include "ridgeline/cli/table.h"
#include "ridgeline/platform/thread_pool.h"
#include "ridgeline/platform/topology.h"
#include "ridgeline/tensor/kv_block.h"
#include "ridgeline/tools/inspect.h"

namespace ridgeline::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kMostTokens = std::int64_t{1} << 24;
constexpr int kMaxStreams = 1 << 14;

struct BenchModelArguments {
  EngineArguments engine;
  OutputArguments output;
  std::vector<std::int64_t> prompts{512}, generated{128}, depths{0};
  std::vector<int> streams{1};
  int repetitions = 5;
  bool no_ceilings = false;
};

/// Prefill and decode at each depth, shallowest first, since the cache keeps what it has.
std::vector<Workload> workloads_of(const BenchModelArguments& arguments) {
  std::vector<std::int64_t> depths = arguments.depths;
  std::ranges::sort(depths);
  std::vector<Workload> list;
  for (const int streams : arguments.streams)
    for (const std::int64_t depth : depths) {
      for (const std::int64_t tokens : arguments.prompts)
        if (tokens > 0) list.push_back({Workload::Kind::kPrefill, tokens, depth, streams});
      for (const std::int64_t tokens : arguments.generated)
        if (tokens > 0) list.push_back({Workload::Kind::kDecode, tokens, depth, streams});
    }
  return list;
}

std::vector<Table::Column> model_columns() {
  return {{"test", "test"},
          {"tokens", "tokens"},
          {"depth", "depth"},
          {"streams", "streams"},
          {"tokens_per_second", "tok/s", 2},
          {"spread_tokens_per_second", "±", 2},
          {"bytes_per_second", "GB/s", 1, 1e-9},
          {"ops_per_second", "GOP/s", 1, 1e-9},
          {"ops_per_byte", "op/byte", 1},
          {"ridge_ops_per_byte", "ridge", 1},
          {"bound_by", "bound by"},
          {"read_bytes_per_second", "read GB/s", 1, 1e-9},
          {"ceiling_tokens_per_second", "ceiling, tok/s", 1},
          {"share_of_ceiling", "share, %", 1, 1e2},
          {"seconds", ""}};
}

std::vector<Table::Cell> cells(const Measurement& line) {
  const double seconds = line.median_seconds();
  std::vector<Table::Cell> row{line.work.kind == Workload::Kind::kPrefill ? "prefill" : "decode",
                               line.work.tokens,
                               line.work.depth,
                               std::int64_t{line.work.streams},
                               line.tokens_per_second(),
                               line.spread(),
                               line.cost.bytes / seconds,
                               line.cost.total_ops() / seconds,
                               line.roofline().intensity};
  if (const double read = line.ceilings().read_bytes_per_second; read > 0) {
    const RooflinePoint point = line.roofline();
    row.insert(row.end(), {point.ridge, point.memory_bound() ? "memory" : "compute", read,
                           line.tokens_per_second() / line.share(), line.share()});
  } else {  // not wanted, or no memory to measure it with
    row.resize(row.size() + 5);
  }
  row.emplace_back(line.seconds);
  return row;
}

/// Names what a list must not hold.
Status check(const BenchModelArguments& arguments) {
  const auto check_tokens = [](const std::vector<std::int64_t>& list, const char* flag) -> Status {
    for (const std::int64_t n : list)
      if (n < 0 || n > kMostTokens)
        return fail(fmt::format("{} {}: expected 0 to {}", flag, n, kMostTokens));
    return {};
  };
  RIDGELINE_TRY_STATUS(check_tokens(arguments.prompts, "--n-prompt"));
  RIDGELINE_TRY_STATUS(check_tokens(arguments.generated, "--n-gen"));
  RIDGELINE_TRY_STATUS(check_tokens(arguments.depths, "--n-depth"));
  for (const int n : arguments.streams)
    if (n < 1 || n > kMaxStreams)
      return fail(fmt::format("--streams {}: expected 1 to {}", n, kMaxStreams));
  return {};
}

/// What the lines have in common, and, for scripts, the first rate of each kind.
Json about(Engine& engine, const std::string& path, const std::vector<Measurement>& lines) {
  Json j{{"model", path},
         {"isa", engine.backend().isa()},
         {"threads", engine.backend().threads()},
         {"weight_bytes", engine.memory_use().weight_bytes},
         {"kv_bytes", engine.memory_use().kv_bytes},
         {"batch_tokens", engine.batch_tokens()}};
  for (const auto kind : {Workload::Kind::kPrefill, Workload::Kind::kDecode}) {
    const auto line = std::ranges::find(lines, kind, [](const auto& l) { return l.work.kind; });
    if (line != lines.end())
      j[kind == Workload::Kind::kPrefill ? "prefill_tokens_per_second"
                                         : "decode_tokens_per_second"] = line->tokens_per_second();
  }
  return j;
}

Status bench_model(BenchModelArguments arguments) {
  RIDGELINE_TRY_STATUS(check(arguments));
  const std::vector<Workload> workloads = workloads_of(arguments);
  if (workloads.empty()) return fail("nothing to measure: --n-prompt and --n-gen are both 0");
  std::int64_t positions = 1;
  int streams = 1;
  for (const Workload& work : workloads) {
    positions = std::max(positions, work.depth + work.tokens);
    streams = std::max(streams, work.streams);
  }
  EngineArguments& loaded = arguments.engine;
  if (loaded.context == 0) loaded.context = positions;
  if (positions > loaded.context)
    return fail(fmt::format("--ctx-size {}: the deepest line needs {} positions", loaded.context,
                            positions));
  loaded.batch_tokens = std::max<std::int64_t>(loaded.batch_tokens, streams);

  RIDGELINE_TRY(const std::string path, loaded.model_path());
  RIDGELINE_TRY(const EngineOptions engine_options, loaded.options());
  RIDGELINE_TRY(const FileReport file, inspect_file(path, engine_options.quantize));
  RIDGELINE_TRY(const std::unique_ptr<Engine> engine, loaded.load(streams));
  const KernelTable& kernels = *find_kernels(engine->backend().isa());
  const double kv_bytes = engine->kv_sizes().bytes_seen(1);
  const ModelCost cost = model_cost(engine->config(), file.tensors, kernels,
                                    engine_options.backend.activations, kv_bytes);
  ThreadPool pool(engine->backend().threads(), !loaded.no_pin);
  std::optional<MachineProbe> probe;
  if (!arguments.no_ceilings) probe.emplace(pool, kernels);

  Table table(arguments.output.value(), model_columns());
  table.note(fmt::format("{}: {} threads, {}, weights {:.0f} MiB", path, pool.size(),
                         engine->backend().isa(),
                         static_cast<double>(engine->memory_use().weight_bytes) / (1 << 20)));
  const double pass_bytes = cost.per_pass.bytes + cost.per_logit_pass.bytes;
  const bool cached = pass_bytes < static_cast<double>(topology().l3_bytes);
  if (cached)
    table.note(
        fmt::format("The weights fit in the {} MiB of last-level cache: reading may be faster than "
                    "the ceiling of main memory.",
                    topology().l3_bytes >> 20));
  ModelBenchOptions options;
  options.repetitions = arguments.repetitions;
  options.after_each = [&, first = true](const Measurement& line) mutable {
    if (first && probe) table.note(fmt::format("Ceilings before: {}", describe(line.before)));
    first = false;
    table.row(cells(line));
  };
  RIDGELINE_TRY(const std::vector<Measurement> lines,
                benchmark_model(*engine, cost, probe ? &*probe : nullptr, workloads, options));
  Json report = about(*engine, path, lines);
  report["weights_fit_in_cache"] = cached;
  if (probe) {
    table.note(fmt::format("Ceilings after: {}", describe(lines.back().after)));
    report["ceilings_before"] = to_json(lines.front().before);
    report["ceilings_after"] = to_json(lines.back().after);
  }
  table.finish(report);
  return {};
}

}  // namespace

void add_bench_model(CLI::App& bench, Action& action) {
  auto arguments = std::make_shared<BenchModelArguments>();
  CLI::App* model =
      bench.add_subcommand("model", "prefill and decode rates over prompts, depths and streams");
  arguments->engine.add_to(*model, /*model_required=*/false, /*with_context=*/false);
  model
      ->add_option("-c,--ctx-size", arguments->engine.context,
                   "tokens of context; 0: what the deepest line needs")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 30));
  const auto list = [&](const char* flags, auto& values, const char* what) {
    model->add_option(flags, values, what)->delimiter(',')->capture_default_str();
  };
  list("-p,--n-prompt", arguments->prompts, "prompt tokens, e.g. 128,512; 0: no prefill");
  list("-n,--n-gen", arguments->generated, "decoded tokens per stream; 0: no decode");
  list("-d,--n-depth", arguments->depths, "tokens in each stream's cache beforehand");
  list("-b,--streams", arguments->streams, "sequences side by side, e.g. 1,8,32");
  model->add_option("-r,--repetitions", arguments->repetitions, "repetitions")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  model->add_flag("--no-ceilings", arguments->no_ceilings,
                  "do not measure what the machine can do: rates alone");
  arguments->output.add_to(*model);
  model->callback(
      [arguments, &action] { action = [arguments] { return bench_model(*arguments); }; });
}

}  // namespace ridgeline::cli
