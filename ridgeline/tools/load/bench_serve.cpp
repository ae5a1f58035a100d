#include "ridgeline/tools/load/bench_serve.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "ridgeline/tools/load/server_client.h"
#include "ridgeline/tools/load/token_counter.h"

namespace ridgeline::load {
namespace {

/// Of each text, in a Difference.
constexpr std::size_t kExcerptBytes = 40;

void tell(const ServeBenchOptions& options, const std::string& text) {
  if (options.on_progress) options.on_progress(text);
}

/// The first server's own count, or that of the next that has one.
Result<std::unique_ptr<TokenCounter>> choose_counter(
    const ServeBenchOptions& options, const std::vector<std::unique_ptr<ServerClient>>& clients) {
  if (!options.model_file.empty()) return count_by_model(options.model_file);
  for (std::size_t i = 0; i < clients.size(); ++i)
    if (clients[i]->count_tokens("Hello").value_or(0) > 0)
      return count_by_server(*clients[i], options.targets[i].label);
  return count_by_estimate();
}

std::vector<Difference> differences(int round, const LoadRun& loaded, const LoadRun& alone) {
  std::vector<Difference> list;
  for (std::size_t i = 0; i < loaded.requests.size(); ++i) {
    const RequestRecord &a = alone.requests[i], &b = loaded.requests[i];
    if (a.failed() || b.failed() || (a.text == b.text && a.finish_reason == b.finish_reason))
      continue;
    const auto at =
        static_cast<std::size_t>(std::ranges::mismatch(a.text, b.text).in1 - a.text.begin());
    list.push_back(
        {round, i, at, a.text.substr(at, kExcerptBytes), b.text.substr(at, kExcerptBytes)});
  }
  return list;
}

class Bench {
 public:
  Bench(const ServeBenchOptions& options, Workload& workload)
      : options_(options), workload_(workload) {
    for (const Target& target : options.targets) bench_.servers.push_back({target, {}, {}, {}});
  }

  Result<ServeBench> run() {
    RIDGELINE_TRY_STATUS(warm_up());
    for (int round = 0; round < options_.rounds; ++round) {
      RIDGELINE_TRY(const std::vector<PlannedRequest> plan,
                    workload_.plan(static_cast<std::uint32_t>(round), options_.workload.requests));
      for (ServerRuns& server : bench_.servers) {
        RIDGELINE_TRY_STATUS(run_round(server, plan, round));
      }
    }
    return std::move(bench_);
  }

 private:
  Status warm_up() {
    if (options_.warm_up == 0) return {};
    RIDGELINE_TRY(const std::vector<PlannedRequest> plan,
                  workload_.plan(static_cast<std::uint32_t>(options_.rounds), options_.warm_up));
    LoadOptions load = options_.load;
    load.users = static_cast<int>(plan.size());
    load.on_progress = nullptr;
    for (const ServerRuns& server : bench_.servers) {
      tell(options_, fmt::format("{}: {} requests to warm up", server.target.label, plan.size()));
      RIDGELINE_TRY(const LoadRun run, run_load(server.target, plan, load));
      const auto failed = std::ranges::find_if(run.requests, &RequestRecord::failed);
      if (failed != run.requests.end())
        return fail(fmt::format("{}: a request to warm up failed: {}: {}", server.target.label,
                                failed->failure, failed->failure_message));
    }
    return {};
  }

  Status run_round(ServerRuns& server, const std::vector<PlannedRequest>& plan, int round) {
    std::this_thread::sleep_for(std::chrono::duration<double>(options_.pause_s));
    RIDGELINE_TRY(LoadRun run, run_load(server.target, plan, options_.load));
    std::int64_t tokens = 0;
    std::size_t failed = 0;
    for (const RequestRecord& record : run.requests) {
      failed += record.failed() ? 1 : 0;
      tokens += record.failed() ? 0 : record.output_tokens;
    }
    tell(options_,
         fmt::format("{}: round {} of {}: {} requests in {:.1f} s, {:.1f} output tok/s{}",
                     server.target.label, round + 1, options_.rounds, plan.size(), run.duration_s,
                     run.duration_s > 0 ? static_cast<double>(tokens) / run.duration_s : 0,
                     failed > 0 ? fmt::format(", {} failed", failed) : ""));
    if (options_.expect_identical) {
      LoadOptions alone = options_.load;
      alone.users = 1;
      RIDGELINE_TRY(LoadRun sequential, run_load(server.target, plan, alone));
      const std::vector<Difference> found = differences(round, run, sequential);
      server.differences.insert(server.differences.end(), found.begin(), found.end());
      server.alone.push_back(std::move(sequential));
    }
    server.rounds.push_back(std::move(run));
    return {};
  }

  const ServeBenchOptions& options_;
  Workload& workload_;
  ServeBench bench_;
};

}  // namespace

Result<ServeBench> bench_servers(const ServeBenchOptions& given) {
  ServeBenchOptions options = given;
  std::vector<std::unique_ptr<ServerClient>> clients;
  for (Target& target : options.targets) {
    RIDGELINE_TRY(std::unique_ptr<ServerClient> client, ServerClient::create(target));
    RIDGELINE_TRY_STATUS(
        client->wait_until_ready(std::chrono::duration<double>(options.patience_s)));
    if (target.model.empty()) {
      RIDGELINE_TRY(target.model, client->first_model());
    }
    clients.push_back(std::move(client));
  }
  RIDGELINE_TRY(const std::unique_ptr<TokenCounter> counter, choose_counter(options, clients));
  RIDGELINE_TRY(Workload workload,
                Workload::create(options.workload, options.targets.front().endpoint, *counter));
  RIDGELINE_TRY(ServeBench bench, Bench(options, workload).run());
  bench.token_counter = counter->name();
  return bench;
}

}  // namespace ridgeline::load
