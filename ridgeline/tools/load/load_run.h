#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/load/request_record.h"
#include "ridgeline/tools/load/target.h"
#include "ridgeline/tools/load/workload.h"

namespace ridgeline::load {

struct LoadOptions {
  /// Requests at once, each user's next one when the last is answered; 0: an open loop, in
  /// which requests are sent when they are due, whatever is still unanswered.
  int users = 0;
  double timeout_s = 600;  ///< of each request
  std::uint64_t seed = 0;  ///< that the server is asked to sample with
  /// A JSON object: fields to add to each request; null takes one away.
  std::string extra_fields;
  std::function<void(std::size_t answered, std::size_t all)> on_progress;
};

/// What one run gave.
struct LoadRun {
  std::vector<RequestRecord> requests;  ///< in the order of the plan
  double duration_s = 0;                ///< from the first one due to the last answer
  std::size_t in_flight_max = 0;
  double client_cpu_s = 0;  ///< of the load generator itself
};

/// The body of a request. Greedy, and of exactly max_tokens where the server knows
/// ignore_eos. `extra_fields` is an object or empty.
std::string request_body(const Target& target, const PlannedRequest& request, std::uint64_t seed,
                         const std::string& extra_fields);

/// Sends the plan and gathers the answers, those that failed among them. Errors: it could
/// not begin.
Result<LoadRun> run_load(const Target& target, const std::vector<PlannedRequest>& plan,
                         const LoadOptions& options);

}  // namespace ridgeline::load
