#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "ridgeline/cli/commands.h"
#include "ridgeline/cli/engine_arguments.h"
#include "ridgeline/platform/thread_pool.h"
#include "ridgeline/tools/bench_model.h"
#include "ridgeline/tools/machine_probe.h"

namespace ridgeline::cli {
namespace {

constexpr double kProbeSeconds = 0.2;

struct BenchArguments {
  EngineArguments engine;
  std::vector<std::int64_t> prompts{512}, generated{128}, depths{0};
  std::vector<int> streams{1};
  int repetitions = 5;
  bool json = false;
};

std::vector<Workload> workloads_of(const BenchArguments& arguments) {
  std::vector<Workload> list;
  for (const int streams : arguments.streams)
    for (const std::int64_t depth : arguments.depths) {
      for (const std::int64_t tokens : arguments.prompts)
        if (tokens > 0) list.push_back({Workload::Kind::kPrefill, tokens, depth, streams});
      for (const std::int64_t tokens : arguments.generated)
        if (tokens > 0) list.push_back({Workload::Kind::kDecode, tokens, depth, streams});
    }
  return list;
}

Status bench_model(BenchArguments arguments) {
  const std::vector<Workload> workloads = workloads_of(arguments);
  std::int64_t positions = 1;
  int streams = 1;
  for (const Workload& work : workloads) {
    positions = std::max(positions, work.depth + work.tokens);
    streams = std::max(streams, work.streams);
  }
  if (arguments.engine.context == 0) arguments.engine.context = positions;
  RIDGELINE_TRY(const std::unique_ptr<Engine> engine, arguments.engine.load(streams));
  fmt::print("{} threads, {}, weights {:.0f} MiB\n", engine->backend().threads(),
             engine->backend().isa(),
             static_cast<double>(engine->memory_use().weight_bytes) / (1 << 20));
  const auto print = [](const Measurement& line) {
    fmt::print("{} {:>6} depth {:>6} streams {:>3}: {:>9.2f} ± {:<6.2f}\n",
               line.work.kind == Workload::Kind::kPrefill ? "prefill" : "decode ",
               line.work.tokens, line.work.depth, line.work.streams, line.tokens_per_second(),
               line.spread());
  };
  RIDGELINE_TRY(const std::vector<Measurement> lines,
                benchmark_model(*engine, workloads, arguments.repetitions, print));
  ThreadPool pool(engine->backend().threads(), !arguments.engine.no_pin);
  fmt::print("read {:.1f} GB/s\n", measure_read_bandwidth(pool, kProbeSeconds) * 1e-9);
  return {};
}

}  // namespace

void add_bench(CLI::App& program, Action& action) {
  CLI::App* command = program.add_subcommand("bench", "measure");
  command->require_subcommand(1);

  auto arguments = std::make_shared<BenchArguments>();
  CLI::App* model =
      command->add_subcommand("model", "prefill and decode rates, as llama-bench takes them");
  arguments->engine.add_to(*model, /*model_required=*/false);
  const auto tokens = CLI::Range(std::int64_t{0}, std::int64_t{1} << 24);
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
  model->add_flag("--json", arguments->json, "one JSON object");
  model->callback(
      [arguments, &action] { action = [arguments] { return bench_model(*arguments); }; });
}

}  // namespace ridgeline::cli
