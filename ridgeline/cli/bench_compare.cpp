#include "ridgeline/tools/bench_compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "ridgeline/cli/bench.h"
#include "ridgeline/cli/model_argument.h"
#include "ridgeline/cli/table.h"
#include "ridgeline/platform/topology.h"
#include "ridgeline/tools/child_process.h"
#include "ridgeline/tools/statistics.h"

namespace ridgeline::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kMaxTokens = std::int64_t{1} << 24;
/// More of the CPUs than this in other hands, and absolute figures mean little.
constexpr double kBusyShareMax = 0.05;

struct BenchCompareArguments {
  std::vector<std::string> models, rivals;
  std::string ours;
  OutputArguments output;
  std::int64_t prompt = 512, generated = 64;
  std::vector<std::int64_t> depths{0};
  std::vector<int> streams{1};
  std::int64_t stream_depth = 128;
  int threads = 0;
  int rounds = 3, warm_up = 0;
  double pause = 0.3, timeout = 900;
  bool load = false;
  std::int64_t load_context = 1024;
};

std::vector<ComparedSetting> settings_of(const BenchCompareArguments& a) {
  std::vector<ComparedSetting> list;
  for (const int streams : a.streams) {
    if (streams > 1 && a.generated > 0) list.push_back({0, a.generated, a.stream_depth, streams});
    for (const std::int64_t depth : a.depths)
      if (streams == 1 && a.prompt + a.generated > 0)
        list.push_back({a.prompt, a.generated, depth, 1});
  }
  return list;
}

/// Ours first.
Result<std::vector<ComparedEngine>> engines_of(const BenchCompareArguments& a) {
  std::vector<std::string> texts;
  std::error_code error;
  if (!a.ours.empty())
    texts.push_back("ridgeline=" + a.ours);
  else
    texts.push_back(fmt::format("ridgeline='{}'",
                                std::filesystem::read_symlink("/proc/self/exe", error).string()));
  texts.insert(texts.end(), a.rivals.begin(), a.rivals.end());
  if (a.rivals.empty()) {
    const std::vector<std::string> usual =
        a.load ? std::vector<std::string>{"llama-completion", "llama-cli"}
               : std::vector<std::string>{"llama-bench"};
    const auto found = std::ranges::find_if(usual, can_run);
    if (found == usual.end())
      return fail(
          fmt::format("no rival: expected --rival NAME=COMMAND, or {} on PATH", usual.front()));
    texts.push_back(fmt::format("llama.cpp={}{}", *found, a.load ? " -no-cnv --no-warmup" : ""));
  }
  return parse_engines(texts);
}

Status check(const BenchCompareArguments& a) {
  for (const std::string& model : a.models)
    if (!std::filesystem::is_regular_file(model)) return fail(fmt::format("no file '{}'", model));
  for (const std::int64_t depth : a.depths)
    if (depth < 0 || depth > kMaxTokens)
      return fail(fmt::format("--n-depth {}: expected 0 to {}", depth, kMaxTokens));
  for (const int streams : a.streams)
    if (streams < 1 || streams > 1024)
      return fail(fmt::format("--streams {}: expected 1 to 1024", streams));
  if (!a.load && settings_of(a).empty())
    return fail("nothing to measure: --n-prompt and --n-gen are both 0");
  return {};
}

std::vector<Table::Column> columns(bool load) {
  std::vector<Table::Column> list{{"model", "model", 0, 1, 18}, {"figure", "figure", 0, 1, 11}};
  if (!load)
    for (const char* key : {"tokens", "depth", "streams"}) list.push_back({key, key});
  list.push_back({"engine", "engine", 0, 1, 12});
  list.push_back({"unit", "unit", 0, 1, 5});
  for (const char* key : {"median", "min", "max"}) list.push_back({key, key, 2});
  list.push_back({"ridgeline_is_times_better", "ridgeline ×", 3});
  list.push_back({"samples", ""});
  return list;
}

std::vector<Table::Cell> cells(const ComparedLine& line, bool load) {
  std::vector<Table::Cell> row{std::filesystem::path(line.model).filename().string(), line.figure};
  if (!load) {
    row.emplace_back(line.figure == "prefill" ? line.setting.prompt : line.setting.generated);
    row.emplace_back(line.setting.depth);
    row.emplace_back(std::int64_t{line.setting.streams});
  }
  row.emplace_back(line.engine);
  row.emplace_back(line.unit);
  row.emplace_back(median(line.samples));
  row.emplace_back(std::ranges::min(line.samples));
  row.emplace_back(std::ranges::max(line.samples));
  row.push_back(Table::cell(line.advantage));
  row.emplace_back(line.samples);
  return row;
}

Json about(const CompareOptions& options, double busy) {
  Json commands = Json::object();
  for (const ComparedEngine& engine : options.engines)
    for (const auto& [program, command] : engine.commands) commands[engine.name].push_back(command);
  return Json{{"threads", options.threads},
              {"rounds", options.rounds},
              {"busy_share_before", busy},
              {"commands", commands}};
}

Status bench_compare(BenchCompareArguments a) {
  for (std::string& model : a.models) {
    RIDGELINE_TRY(model, resolve_model(model));
  }
  RIDGELINE_TRY_STATUS(check(a));
  CompareOptions options;
  RIDGELINE_TRY(options.engines, engines_of(a));
  options.models = a.models;
  options.settings = settings_of(a);
  if (a.load) options.load_context = a.load_context;
  options.threads = a.threads > 0 ? a.threads : topology().default_threads();
  options.rounds = a.rounds;
  options.warm_up_rounds = a.warm_up;
  options.pause_seconds = a.pause;
  options.run_seconds_max = a.timeout;

  Table table(a.output.value(), columns(a.load));
  const double busy = busy_share(0.5);
  if (busy > kBusyShareMax)
    fmt::print(stderr,
               "Other processes keep {:.0f} % of the CPUs busy: only ratios mean anything.\n",
               100 * busy);
  table.note(fmt::format("{} threads, {} rounds; × is the median of the rounds' ratios",
                         options.threads, options.rounds));
  Json notes = Json::array();
  options.on_note = [&](const std::string& sentence) {
    notes.push_back(sentence);
    fmt::print(stderr, "{}\n", sentence);
  };
  options.on_progress = [](const std::string& text) { fmt::print(stderr, "{}\n", text); };
  options.on_lines = [&](const std::vector<ComparedLine>& lines) {
    for (const ComparedLine& line : lines) table.row(cells(line, a.load));
  };
  RIDGELINE_TRY_STATUS(compare_engines(options));
  Json report = about(options, busy);
  report["not_measured"] = notes;
  table.finish(report);
  return {};
}

}  // namespace

void add_bench_compare(CLI::App& bench, Action& action) {
  auto a = std::make_shared<BenchCompareArguments>();
  CLI::App* command = bench.add_subcommand(
      "compare", "other engines' benchmarks and ours in turn, on the same files");
  command->add_option("-m,--model", a->models, kModelHelp)->required();
  command->add_option(
      "--rival", a->rivals,
      "NAME=COMMAND: llama-bench, llama-batched-bench, llama-sweep-bench or another "
      "ridgeline, with arguments of its own; with --load llama-completion or "
      "llama-cli. The same name again adds a program (default: those on PATH)");
  command->add_option(
      "--ridgeline", a->ours,
      "our COMMAND, e.g. 'env RIDGELINE_ISA=avx2 ridgeline' (default: this program)");
  const auto tokens = CLI::Range(std::int64_t{0}, kMaxTokens);
  command->add_option("-p,--n-prompt", a->prompt, "prompt tokens; 0: no prefill")
      ->check(tokens)
      ->capture_default_str();
  command->add_option("-n,--n-gen", a->generated, "decoded tokens per stream; 0: no decode")
      ->check(tokens)
      ->capture_default_str();
  command->add_option("-d,--n-depth", a->depths, "tokens in the cache beforehand, e.g. 0,7680")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("-b,--streams", a->streams, "sequences decoded side by side, e.g. 1,8,32")
      ->delimiter(',')
      ->capture_default_str();
  command
      ->add_option("--stream-depth", a->stream_depth,
                   "tokens in each of several streams beforehand")
      ->check(CLI::Range(std::int64_t{1}, kMaxTokens))
      ->capture_default_str();
  command->add_option("-t,--threads", a->threads, "threads (default: physical cores)")
      ->check(CLI::Range(1, 1024));
  command->add_option("-r,--rounds", a->rounds, "runs of every engine")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--warm-up", a->warm_up, "rounds before that are not counted")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  command->add_option("--pause", a->pause, "seconds between runs")
      ->check(CLI::Range(0.0, 600.0))
      ->capture_default_str();
  command->add_option("--timeout", a->timeout, "seconds after which a run is given up")
      ->check(CLI::Range(1.0, 1e6))
      ->capture_default_str();
  command->add_flag(
      "--load", a->load,
      "time from process start to the first token, and peak memory, instead of rates");
  command->add_option("-c,--ctx-size", a->load_context, "tokens of context of --load")
      ->check(CLI::Range(std::int64_t{32}, kMaxTokens))
      ->capture_default_str();
  a->output.add_to(*command);
  command->callback([a, &action] { action = [a] { return bench_compare(*a); }; });
}

}  // namespace ridgeline::cli
