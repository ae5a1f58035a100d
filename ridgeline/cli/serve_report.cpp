#include "ridgeline/cli/serve_report.h"

#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

namespace ridgeline::cli {
namespace {

using namespace load;
using Json = nlohmann::ordered_json;

/// Later than this, and arrivals were not those that were asked for.
constexpr double kSendDelayMaxS = 5e-3;
/// More in a chunk, and gaps between chunks are not gaps between tokens.
constexpr double kTokensPerChunkMax = 1.02;
/// What the load generator takes of the machine, it takes from the server.
constexpr double kCpuShareMax = 0.05;
constexpr std::size_t kDifferencesShown = 3;

std::vector<Table::Column> columns(const std::vector<ServerRuns>& servers) {
  std::size_t width = 0;
  for (const ServerRuns& server : servers) width = std::max(width, server.target.label.size());
  std::vector<Table::Column> list{{"server", "server", 0, 1, static_cast<int>(width)},
                                  {"figure", "figure", 0, 1, 18},
                                  {"unit", "unit", 0, 1, 5},
                                  {"value", "mean", 2, 1, 9},
                                  {"p50", "P50", 2, 1, 9},
                                  {"p90", "P90", 2, 1, 9},
                                  {"p95", "P95", 2, 1, 9},
                                  {"p99", "P99", 2, 1, 9},
                                  {"max", "max", 2, 1, 9}};
  if (servers.size() == 1) return list;
  list.push_back({"first_is_times_better", servers.front().target.label + " ×", 2});
  list.push_back({"first_is_times_better_p50", "× P50", 2});
  list.push_back({"first_is_times_better_p99", "× P99", 2});
  return list;
}

std::vector<Table::Cell> cells(const std::string& server, const Figure& figure,
                               const Advantage* advantage) {
  std::vector<Table::Cell> row{server, figure.key, figure.unit, figure.value};
  if (figure.spread) {
    const Distribution& d = *figure.spread;
    row.insert(row.end(), {d.p50, d.p90, d.p95, d.p99, d.max});
  } else {
    row.resize(row.size() + 5);
  }
  if (advantage != nullptr)
    for (const std::optional<double>& times : {advantage->value, advantage->p50, advantage->p99})
      row.push_back(Table::cell(times));
  return row;
}

/// "16 users", "2.5 requests/s", "the trace's times".
std::string describe_load(const ServeBenchOptions& options) {
  if (options.load.users > 0) return fmt::format("{} users", options.load.users);
  if (options.workload.rate > 0) return fmt::format("{:g} requests/s", options.workload.rate);
  return fmt::format("the times of {} × {:g}", options.workload.trace_file,
                     options.workload.time_scale);
}

/// What a reader of the figures has to know beside them.
std::vector<std::string> remarks(const ServerRuns& server, const LoadSummary& s) {
  std::vector<std::string> list;
  for (const auto& [kind, count] : s.failures)
    list.push_back(fmt::format("{} of {} requests failed: {}: {}", count, s.requests, kind,
                               s.failure_examples.at(kind)));
  const LoadSummary alone = summarise(server.alone, {});
  for (const auto& [kind, count] : alone.failures)
    list.push_back(fmt::format("{} of {} requests failed when sent alone: {}: {}", count,
                               alone.requests, kind, alone.failure_examples.at(kind)));
  if (s.without_usage > 0)
    list.push_back(
        fmt::format("{} answers had no usage: a chunk counts as a token, and the "
                    "prompts' tokens are not known",
                    s.without_usage));
  if (s.of_other_length > 0)
    list.push_back(fmt::format("{} outputs were not as long as asked for", s.of_other_length));
  if (s.cut_prompts > 0)
    list.push_back(
        fmt::format("{} prompts were cut by the server, which counts less than 90 % of "
                    "their tokens",
                    s.cut_prompts));
  if (s.tokens_per_chunk > kTokensPerChunkMax)
    list.push_back(
        fmt::format("a chunk brings {:.2f} tokens in the mean: inter_token is between chunks",
                    s.tokens_per_chunk));
  if (s.send_delay_max_s > kSendDelayMaxS)
    list.push_back(
        fmt::format("requests were sent up to {:.0f} ms late (latencies count from when "
                    "they were due)",
                    1e3 * s.send_delay_max_s));
  if (s.client_cpu_share > kCpuShareMax)
    list.push_back(
        fmt::format("the load generator took {:.0f} % of a CPU", 1e2 * s.client_cpu_share));
  if (!server.alone.empty())
    list.push_back(fmt::format("{} of {} answers differ from those of the same requests alone",
                               server.differences.size(), s.requests));
  for (std::size_t i = 0; i < std::min(server.differences.size(), kDifferencesShown); ++i) {
    const Difference& d = server.differences[i];
    list.push_back(fmt::format("round {}, request {}, from byte {}: alone '{}', in company '{}'",
                               d.round + 1, d.request + 1, d.byte, d.alone, d.loaded));
  }
  return list;
}

Json to_json(const std::vector<Figure>& list) {
  Json j = Json::object();
  for (const Figure& figure : list) {
    if (!figure.spread) {
      j[figure.key] = figure.value;
      continue;
    }
    const Distribution& d = *figure.spread;
    j[figure.key] = {{"mean", d.mean}, {"p50", d.p50}, {"p90", d.p90},    {"p95", d.p95},
                     {"p99", d.p99},   {"max", d.max}, {"count", d.count}};
  }
  return j;
}

Json to_json(const ServerRuns& server, const LoadSummary& s, const ServiceLevel& level) {
  Json rounds = Json::array(), differences = Json::array();
  for (const LoadRun& run : server.rounds)
    rounds.push_back(to_json(figures(summarise({&run, 1}, level), level)));
  for (const Difference& d : server.differences)
    differences.push_back({{"round", d.round}, {"request", d.request}, {"byte", d.byte}});
  Json j{{"server", server.target.label},
         {"url", server.target.url},
         {"model", server.target.model},
         {"requests", s.requests},
         {"failed", s.failed},
         {"failures", s.failures},
         {"prompt_tokens", s.prompt_tokens},
         {"output_tokens", s.output_tokens},
         {"in_flight_max", s.in_flight_max},
         {"tokens_per_chunk", s.tokens_per_chunk},
         {"without_usage", s.without_usage},
         {"of_other_length", s.of_other_length},
         {"cut_prompts", s.cut_prompts},
         {"load_generator_cpu_share", s.client_cpu_share},
         {"send_delay_max_ms", 1e3 * s.send_delay_max_s},
         {"remarks", remarks(server, s)},
         {"rounds", rounds}};
  if (s.cached_tokens) j["cached_tokens"] = *s.cached_tokens;
  if (!server.alone.empty()) j["differences"] = differences;
  return j;
}

Json about(const ServeBenchOptions& options, const ServeBench& bench) {
  const WorkloadOptions& w = options.workload;
  return Json{{"load", describe_load(options)},
              {"requests", w.requests},
              {"rounds", options.rounds},
              {"seed", w.seed},
              {"trace", w.trace_file},
              {"time_scale", w.time_scale},
              {"length_scale", w.length_scale},
              {"prompts", w.prompts_file},
              {"prompts_measured_by", bench.token_counter}};
}

/// FNV-1a: enough to see which answers are the same.
std::uint64_t hash_of(const std::string& text) {
  std::uint64_t hash = 14695981039346656037u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

Json to_json(const RequestRecord& r) {
  Json j{{"due_s", r.due_s},
         {"sent_s", r.sent_s},
         {"end_s", r.end_s},
         {"chunk_times_s", r.chunk_times_s},
         {"prompt_tokens", r.prompt_tokens},
         {"output_tokens", r.output_tokens},
         {"asked_tokens", r.asked_tokens},
         {"finish_reason", r.finish_reason},
         {"text_hash", fmt::format("{:016x}", hash_of(r.text))}};
  if (r.cached_tokens) j["cached_tokens"] = *r.cached_tokens;
  if (r.failed()) {
    j["failure"] = r.failure;
    j["message"] = r.failure_message;
  }
  return j;
}

}  // namespace

void print_serve_report(const ServeBenchOptions& options, const ServeBench& bench,
                        const ServiceLevel& level, OutputFormat format) {
  const bool compared = bench.servers.size() > 1;
  Table table(format, columns(bench.servers));
  Json report = about(options, bench);
  report["servers"] = Json::array();
  std::vector<LoadSummary> summaries;
  table.note(fmt::format("{}, {} requests, {} round{}; prompts measured by {}",
                         describe_load(options), bench.servers[0].rounds[0].requests.size(),
                         options.rounds, options.rounds == 1 ? "" : "s", bench.token_counter));
  if (compared)
    table.note(fmt::format("×: how many times better {} did, the median of the rounds' ratios",
                           bench.servers.front().target.label));
  for (const ServerRuns& server : bench.servers) {
    const LoadSummary summary = summarise(server.rounds, level);
    for (const std::string& remark : remarks(server, summary)) {
      table.note(fmt::format("{}: {}", server.target.label, remark));
      if (format == OutputFormat::kCsv) fmt::print(stderr, "{}: {}\n", server.target.label, remark);
    }
    report["servers"].push_back(to_json(server, summary, level));
    summaries.push_back(summary);
  }
  for (std::size_t i = 0; i < bench.servers.size(); ++i) {
    const std::vector<Figure> lines = figures(summaries[i], level);
    std::vector<Advantage> better(lines.size());
    if (i > 0) better = advantages(bench.servers[0].rounds, bench.servers[i].rounds, level);
    for (std::size_t line = 0; line < lines.size(); ++line)
      table.row(
          cells(bench.servers[i].target.label, lines[line], compared ? &better[line] : nullptr));
  }
  table.finish(report);
}

Status write_request_details(const std::string& path, const ServeBench& bench) {
  std::ofstream file(path);
  for (const ServerRuns& server : bench.servers)
    for (const std::vector<LoadRun>* runs : {&server.rounds, &server.alone})
      for (std::size_t round = 0; round < runs->size(); ++round)
        for (std::size_t i = 0; i < (*runs)[round].requests.size(); ++i) {
          Json j{{"server", server.target.label},
                 {"round", round},
                 {"request", i},
                 {"alone", runs == &server.alone}};
          j.update(to_json((*runs)[round].requests[i]));
          file << j.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
        }
  file.close();
  if (!file) return fail(fmt::format("--details {}: cannot be written", path));
  return {};
}

}  // namespace ridgeline::cli
