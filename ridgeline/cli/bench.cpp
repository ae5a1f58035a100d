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
  ModelBenchmark work;
  bool json = false;
};

void print_rate(const char* what, std::int64_t tokens, std::int64_t depth, const Rate& rate) {
  if (rate.tokens_per_second.empty()) return;
  fmt::print("| {:<22} | {:>9.2f} | {:>9.2f} ± {:<6.2f} |\n",
             fmt::format("{} {}{}", what, tokens, depth > 0 ? fmt::format(" @ {}", depth) : ""),
             rate.median(), rate.mean(), rate.standard_deviation());
}

Status bench_model(BenchArguments arguments) {
  const ModelBenchmark& work = arguments.work;
  if (arguments.engine.context == 0)
    arguments.engine.context =
        std::max<std::int64_t>(1, work.depth + std::max(work.prompt_tokens, work.generated_tokens));
  RIDGELINE_TRY(const std::unique_ptr<Engine> engine, arguments.engine.load());
  RIDGELINE_TRY(const ModelBenchmarkResult result, benchmark_model(*engine, work));
  ThreadPool pool(engine->backend().threads(), !arguments.engine.no_pin);
  const double bandwidth = measure_read_bandwidth(pool, kProbeSeconds);
  const double decode_bandwidth =
      result.decode.median() * static_cast<double>(engine->memory_use().weight_bytes);

  if (arguments.json) {
    fmt::print("{}\n",
               nlohmann::ordered_json{{"model", arguments.engine.model},
                                      {"isa", engine->backend().isa()},
                                      {"threads", engine->backend().threads()},
                                      {"prompt_tokens", work.prompt_tokens},
                                      {"generated_tokens", work.generated_tokens},
                                      {"depth", work.depth},
                                      {"prefill_tokens_per_second", result.prefill.median()},
                                      {"decode_tokens_per_second", result.decode.median()},
                                      {"prefill_repetitions", result.prefill.tokens_per_second},
                                      {"decode_repetitions", result.decode.tokens_per_second},
                                      {"weight_bytes", engine->memory_use().weight_bytes},
                                      {"decode_weight_bytes_per_second", decode_bandwidth},
                                      {"measured_bandwidth_bytes_per_second", bandwidth}}
                   .dump(2));
    return {};
  }
  fmt::print("{} threads, {}, weights {:.0f} MiB\n\n", engine->backend().threads(),
             engine->backend().isa(),
             static_cast<double>(engine->memory_use().weight_bytes) / (1 << 20));
  fmt::print("| {:<22} | {:>9} | {:>18} |\n| {:-<22} | {:->8}: | {:->17}: |\n", "tokens/s",
             "median", "mean ± stddev", "", "", "");
  print_rate("prefill", work.prompt_tokens, work.depth, result.prefill);
  print_rate("decode", work.generated_tokens, work.depth, result.decode);
  if (work.generated_tokens > 0)
    fmt::print(
        "\ndecode reads weights at {:.1f} GB/s, {:.0f} % of the {:.1f} GB/s measured just now\n",
        decode_bandwidth * 1e-9, 100 * decode_bandwidth / bandwidth, bandwidth * 1e-9);
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
  model->add_option("-p,--n-prompt", arguments->work.prompt_tokens, "prompt tokens; 0: no prefill")
      ->check(tokens)
      ->capture_default_str();
  model->add_option("-n,--n-gen", arguments->work.generated_tokens, "decoded tokens; 0: no decode")
      ->check(tokens)
      ->capture_default_str();
  model->add_option("-d,--n-depth", arguments->work.depth, "tokens in the cache beforehand")
      ->check(tokens)
      ->capture_default_str();
  model->add_option("-r,--repetitions", arguments->work.repetitions, "repetitions")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  model->add_flag("--json", arguments->json, "one JSON object");
  model->callback(
      [arguments, &action] { action = [arguments] { return bench_model(*arguments); }; });
}

}  // namespace ridgeline::cli
