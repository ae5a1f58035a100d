#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ridgeline/tools/load/distribution.h"
#include "ridgeline/tools/load/load_run.h"

namespace ridgeline::load {

/// What a request must keep to count as good; 0: anything.
struct ServiceLevel {
  double ttft_s = 0;
  double inter_token_s = 0;  ///< no gap is longer
  double per_output_token_s = 0;
  double total_s = 0;

  bool asks_for_anything() const;
  bool is_met_by(const RequestRecord& record) const;
};

/// What some runs come to, taken together. Latencies are those of requests that succeeded.
struct LoadSummary {
  std::size_t requests = 0, failed = 0;
  std::map<std::string, std::size_t> failures;          ///< by kind
  std::map<std::string, std::string> failure_examples;  ///< the first of each kind
  double duration_s = 0;
  std::int64_t prompt_tokens = 0, output_tokens = 0;
  std::optional<std::int64_t> cached_tokens;  ///< where the server tells
  Distribution ttft_s, inter_token_s, per_output_token_s, total_s, prompt_lengths, output_lengths;
  std::size_t good = 0;    ///< keep the service level
  double concurrency = 0;  ///< requests in flight, in the mean over time
  std::size_t in_flight_max = 0;
  double tokens_per_chunk = 0;
  std::size_t without_usage = 0;    ///< whose tokens are those of the chunks
  std::size_t of_other_length = 0;  ///< than asked for
  std::size_t cut_prompts = 0;      ///< of which the server saw clearly less than was sent
  double client_cpu_share = 0;      ///< of one CPU
  double send_delay_max_s = 0;      ///< by which the load generator itself was late
};

LoadSummary summarise(std::span<const LoadRun> runs, const ServiceLevel& level);

/// A line of a report: one value, or a distribution with its mean as the value.
struct Figure {
  enum class Better { kNeither, kHigher, kLower };
  std::string key;
  std::string unit;
  Better better = Better::kNeither;
  double value = 0;
  std::optional<Distribution> spread;
};

/// Without those of which nothing is known.
std::vector<Figure> figures(const LoadSummary& summary, const ServiceLevel& level);

/// How many times better we did: in the median of rounds that were run in turn, of those in
/// which both did anything. Absent where neither way is better.
struct Advantage {
  std::optional<double> value, p50, p99;
};

/// For each of figures() of `theirs`, in their order. As many runs of one as of the other.
std::vector<Advantage> advantages(std::span<const LoadRun> ours, std::span<const LoadRun> theirs,
                                  const ServiceLevel& level);

}  // namespace ridgeline::load
