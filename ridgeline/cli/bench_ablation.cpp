#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "ridgeline/cli/ablation_tables.h"
#include "ridgeline/cli/bench.h"
#include "ridgeline/cli/engine_arguments.h"
#include "ridgeline/cli/model_argument.h"

namespace ridgeline::cli {
namespace {

struct BenchAblationArguments {
  std::string model, text, json, csv;
  AblationOptions options;
};

Status bench_ablation(const BenchAblationArguments& arguments) {
  AblationOptions options = arguments.options;
  RIDGELINE_TRY(const std::string path, resolve_model(arguments.model));
  if (!arguments.text.empty()) {
    RIDGELINE_TRY(options.text, read_text(arguments.text));
    if (options.text.empty()) return fail(fmt::format("{}: is empty", arguments.text));
  }
  if (const char* isa = std::getenv("RIDGELINE_ISA")) options.engine.backend.isa = isa;
  options.progress = [](const std::string& what) { fmt::print(stderr, "{}\n", what); };
  RIDGELINE_TRY(const AblationReport report, run_ablation(path, options));
  if (arguments.json != "-" && arguments.csv != "-") fmt::print("{}", ablation_tables(report));
  if (!arguments.json.empty())
    RIDGELINE_TRY_STATUS(write_output(arguments.json, to_json(report).dump(2) + "\n"));
  if (!arguments.csv.empty())
    RIDGELINE_TRY_STATUS(write_output(arguments.csv, ablation_csv(report)));
  return {};
}

}  // namespace

void add_bench_ablation(CLI::App& bench, Action& action) {
  auto a = std::make_shared<BenchAblationArguments>();
  CLI::App* command = bench.add_subcommand(
      "ablation", "what each optimisation is worth here: switched on one after the other");
  command->add_option("-m,--model", a->model, std::string(kModelHelp) + "; F16, BF16 or F32")
      ->required();
  AblationOptions& o = a->options;
  const auto number = [&](const char* flags, auto& value, const char* what, auto low, auto high) {
    command->add_option(flags, value, what)->check(CLI::Range(low, high))->capture_default_str();
  };
  number("-p,--n-prompt", o.prompt_tokens, "prompt tokens of one stream", 16, 1 << 20);
  number("-n,--n-gen", o.output_tokens, "output tokens of one stream", 2, 1 << 20);
  number("-b,--streams", o.streams, "sequences side by side; twice as many requests are served", 1,
         512);
  number("-c,--ctx-size", o.context,
         "tokens that a sequence may become, which preallocation keeps; 0: 2048, or the model's", 0,
         1 << 24);
  command->add_option("-t,--threads", o.engine.backend.threads, "threads (default: physical cores)")
      ->check(CLI::Range(1, 1024));
  command->add_flag("!--no-pin", o.engine.backend.pin, "do not bind threads to CPUs");
  number("--seconds-per-row", o.seconds_per_row,
         "time for one stream, and again for many; what takes longer is extrapolated", 0.01, 1e5);
  command->add_option("--rows", o.rows, "e.g. kv-cache,int4 (default: all)")->delimiter(',');
  command->add_option("--text", a->text,
                      "file: the prompts, and what perplexity and KL are measured on");
  number("--eval-context", o.eval_context, "tokens of a window of the text", 8, 1 << 20);
  number("--eval-windows", o.eval_windows, "windows of the text at most", 1, 1 << 20);
  command->add_option("--json", a->json, "file for everything as JSON; -: in place of the tables");
  command->add_option("--csv", a->csv, "likewise as CSV");
  command->callback([a, &action] { action = [a] { return bench_ablation(*a); }; });
}

}  // namespace ridgeline::cli
