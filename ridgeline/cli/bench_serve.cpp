#include "ridgeline/tools/load/bench_serve.h"

#include <fmt/format.h>

#include <map>
#include <memory>

#include "ridgeline/cli/bench.h"
#include "ridgeline/cli/model_argument.h"
#include "ridgeline/cli/serve_report.h"
#include "ridgeline/cli/table.h"

namespace ridgeline::cli {
namespace {

using namespace load;
using Json = nlohmann::ordered_json;

constexpr int kDefaultUsers = 8;

struct BenchServeArguments {
  std::string url;
  std::vector<std::string> compared;
  std::string endpoint = "completions", model, api_key, ca_file, tokenizer;
  std::string prompt_tokens = "100", output_tokens = "48";
  std::string details_file;
  double slo_ttft_ms = 0, slo_itl_ms = 0, slo_tpot_ms = 0, slo_total_ms = 0;
  bool allow_errors = false;
  ServeBenchOptions bench;
  OutputArguments output;
};

Result<std::vector<Target>> targets_of(const BenchServeArguments& a) {
  std::vector<std::string> texts{a.url};
  texts.insert(texts.end(), a.compared.begin(), a.compared.end());
  std::vector<Target> targets;
  for (const std::string& text : texts) {
    RIDGELINE_TRY(Target target, parse_target(text));
    for (const Target& other : targets)
      if (other.label == target.label)
        return fail(fmt::format("two servers are called '{}', expected NAME=URL with other names",
                                target.label));
    target.endpoint = a.endpoint == "chat" ? Endpoint::kChat : Endpoint::kCompletions;
    target.model = a.model;
    target.api_key = a.api_key;
    target.ca_file = a.ca_file;
    targets.push_back(std::move(target));
  }
  return targets;
}

/// Options that another one leaves nothing to do for.
Status check(const CLI::App& command, const BenchServeArguments& a) {
  const auto refuse = [&](const char* option, const char* reason) -> Status {
    if (command.count(option) == 0) return {};
    return fail(fmt::format("{}: {}", option, reason));
  };
  const WorkloadOptions& w = a.bench.workload;
  if (w.trace_file.empty()) {
    for (const char* option : {"--time-scale", "--length-scale"})
      RIDGELINE_TRY_STATUS(refuse(option, "scales a --trace, and none is given"));
  } else {
    for (const char* option :
         {"--prompt-tokens", "--output-tokens", "--shared-prefix", "--prefix-groups"})
      RIDGELINE_TRY_STATUS(refuse(option, "the --trace says how long prompts and outputs are"));
    if (w.prompts_file.ends_with(".jsonl"))
      return fail("--prompts: a --trace takes its words from text, not from whole prompts");
    if (w.rate > 0 || a.bench.load.users > 0)
      RIDGELINE_TRY_STATUS(refuse("--time-scale", "--rate and --users do not use a trace's times"));
  }
  if (w.prompts_file.ends_with(".jsonl"))
    for (const char* option : {"--prompt-tokens", "--prompt-max"})
      RIDGELINE_TRY_STATUS(refuse(option, "the prompts of a .jsonl file are sent as they are"));
  if (w.shared_prefix == 0)
    RIDGELINE_TRY_STATUS(refuse("--prefix-groups", "there is no --shared-prefix"));
  const std::string& extra = a.bench.load.extra_fields;
  if (!extra.empty() && !Json::parse(extra, nullptr, /*allow_exceptions=*/false).is_object())
    return fail(fmt::format("--body '{}': expected a JSON object", extra));
  return {};
}

Status verdict(const BenchServeArguments& a, const ServeBench& bench) {
  std::size_t requests = 0, failed = 0, different = 0;
  std::map<std::string, std::size_t> failures;
  for (const ServerRuns& server : bench.servers) {
    different += server.differences.size();
    for (const std::vector<LoadRun>* runs : {&server.rounds, &server.alone}) {
      const LoadSummary summary = summarise(*runs, {});
      requests += summary.requests;
      failed += summary.failed;
      for (const auto& [kind, count] : summary.failures) failures[kind] += count;
    }
  }
  std::string kinds;
  for (const auto& [kind, count] : failures)
    kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", count, kind);
  if (failed > 0 && !a.allow_errors)
    return fail(fmt::format("{} of {} requests failed ({})", failed, requests, kinds));
  if (different > 0)
    return fail(
        fmt::format("{} requests were answered otherwise in company than alone", different));
  return {};
}

Status bench_serve(const CLI::App& command, BenchServeArguments a) {
  RIDGELINE_TRY_STATUS(check(command, a));
  ServeBenchOptions& bench = a.bench;
  RIDGELINE_TRY(bench.targets, targets_of(a));
  RIDGELINE_TRY(bench.workload.prompt_tokens,
                TokenLengths::parse(a.prompt_tokens, "--prompt-tokens"));
  RIDGELINE_TRY(bench.workload.output_tokens,
                TokenLengths::parse(a.output_tokens, "--output-tokens"));
  if (!a.tokenizer.empty()) {
    RIDGELINE_TRY(bench.model_file, resolve_model(a.tokenizer));
  }
  if (bench.workload.rate == 0 && bench.workload.trace_file.empty() && bench.load.users == 0)
    bench.load.users = kDefaultUsers;
  bench.load.seed = bench.workload.seed;
  bench.on_progress = [](const std::string& text) { fmt::print(stderr, "{}\n", text); };
  const ServiceLevel level{a.slo_ttft_ms * 1e-3, a.slo_itl_ms * 1e-3, a.slo_tpot_ms * 1e-3,
                           a.slo_total_ms * 1e-3};
  RIDGELINE_TRY(const ServeBench result, bench_servers(bench));
  print_serve_report(bench, result, level, a.output.value());
  if (!a.details_file.empty()) RIDGELINE_TRY_STATUS(write_request_details(a.details_file, result));
  return verdict(a, result);
}

void add_target_options(CLI::App& command, BenchServeArguments& a) {
  command.add_option("--url", a.url, "[NAME=]http[s]://host:port of an OpenAI-compatible server")
      ->required();
  command.add_option("--compare", a.compared,
                     "[NAME=]URL of another, which gets the same requests in turn (repeatable)");
  command.add_option("--endpoint", a.endpoint, "completions or chat")
      ->check(CLI::IsMember({"completions", "chat"}))
      ->capture_default_str();
  command.add_option("--model", a.model, "model's name (default: the first of /v1/models)");
  command.add_option("--api-key", a.api_key, "bearer token")->envname("RIDGELINE_API_KEY");
  command.add_option("--ca-file", a.ca_file, "certificates to trust, for https")
      ->check(CLI::ExistingFile);
  command.add_option("-m,--tokenizer", a.tokenizer,
                     "model whose tokenizer measures prompts (default: a server's /tokenize, else "
                     "an estimate)");
  command.add_option("--wait", a.bench.patience_s, "seconds for servers to become ready")
      ->check(CLI::Range(0.0, 1e5))
      ->capture_default_str();
  command.add_option("--timeout", a.bench.load.timeout_s, "seconds for each request")
      ->check(CLI::Range(0.001, 1e6))
      ->capture_default_str();
  command.add_option("--body", a.bench.load.extra_fields,
                     "JSON object: fields to add to each request; null takes one away");
}

void add_load_options(CLI::App& command, BenchServeArguments& a) {
  constexpr std::int64_t kTokensMax = std::int64_t{1} << 24;
  WorkloadOptions& w = a.bench.workload;
  auto* users = command.add_option("-u,--users", a.bench.load.users,
                                   "closed loop: requests at once (default: 8)");
  users->check(CLI::Range(1, 1 << 16));
  command.add_option("--rate", w.rate, "open loop: requests a second, as a Poisson process")
      ->check(CLI::Range(1e-6, 1e6))
      ->excludes(users);
  command
      .add_option("-n,--requests,--limit", w.requests,
                  "requests in each round; of a trace, its first")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  command
      .add_option("--trace", w.trace_file,
                  "open loop: Azure's CSV or Mooncake's JSON lines, with their times and "
                  "lengths; with --users or --rate their lengths alone")
      ->check(CLI::ExistingFile);
  command.add_option("--time-scale", w.time_scale, "by which a trace's times are multiplied")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command.add_option("--length-scale", w.length_scale, "by which its lengths are")
      ->check(CLI::Range(1e-6, 1e3))
      ->capture_default_str();
  command.add_option("--prompt-max", w.prompt_max, "tokens at which prompts are cut; 0: never")
      ->check(CLI::Range(std::int64_t{0}, kTokensMax))
      ->capture_default_str();
  command.add_option("--output-max", w.output_max, "tokens at which outputs are cut; 0: never")
      ->check(CLI::Range(std::int64_t{0}, kTokensMax))
      ->capture_default_str();
  command
      .add_option("--prompt-tokens", a.prompt_tokens,
                  "tokens: 100, or 100,20 (mean, standard deviation), or 50-150")
      ->capture_default_str();
  command.add_option("--output-tokens", a.output_tokens, "tokens to generate, likewise")
      ->capture_default_str();
  command
      .add_option("--shared-prefix", w.shared_prefix,
                  "tokens in front of each prompt, the same in a group")
      ->check(CLI::Range(std::int64_t{0}, kTokensMax))
      ->capture_default_str();
  command.add_option("--prefix-groups", w.prefix_groups, "groups")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command
      .add_option("--prompts", w.prompts_file,
                  ".jsonl: whole prompts (prompt, turns or messages); else text to cut prompts "
                  "from (default: common words)")
      ->check(CLI::ExistingFile);
  command.add_option("--seed", w.seed, "of arrivals, lengths, texts and sampling")
      ->capture_default_str();
}

void add_measure_options(CLI::App& command, BenchServeArguments& a) {
  command.add_option("-r,--rounds", a.bench.rounds, "runs on each server, with other texts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command
      .add_option("--warmup", a.bench.warm_up,
                  "requests to each server before, all at once, that are not counted")
      ->check(CLI::Range(0, 10'000))
      ->capture_default_str();
  command.add_option("--pause", a.bench.pause_s, "seconds between runs")
      ->check(CLI::Range(0.0, 600.0))
      ->capture_default_str();
  const auto limit = [&](const char* name, double& ms, const char* what) {
    command.add_option(name, ms, what)->check(CLI::Range(0.0, 1e9));
  };
  limit("--slo-ttft", a.slo_ttft_ms, "milliseconds to the first token of a good request");
  limit("--slo-itl", a.slo_itl_ms, "milliseconds between two of its tokens at the most");
  limit("--slo-tpot", a.slo_tpot_ms, "milliseconds between them in the mean");
  limit("--slo-total", a.slo_total_ms, "milliseconds for all of it");
  command.add_flag("--expect-identical", a.bench.expect_identical,
                   "then send the same requests one by one; other texts are an error");
  command.add_flag("--allow-errors", a.allow_errors, "exit status 0 where requests failed");
  command.add_option("--details", a.details_file, "file for a JSON line about each request");
}

}  // namespace

void add_bench_serve(CLI::App& bench, Action& action) {
  auto a = std::make_shared<BenchServeArguments>();
  CLI::App* command =
      bench.add_subcommand("serve", "load on a server: latencies, throughput and goodput");
  add_target_options(*command, *a);
  add_load_options(*command, *a);
  add_measure_options(*command, *a);
  a->output.add_to(*command);
  command->callback(
      [a, command, &action] { action = [a, command] { return bench_serve(*command, *a); }; });
}

}  // namespace ridgeline::cli
