#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/load/prompt_maker.h"
#include "ridgeline/tools/load/target.h"
#include "ridgeline/tools/load/token_lengths.h"
#include "ridgeline/tools/load/trace.h"

namespace ridgeline::load {

/// One request before it is sent.
struct PlannedRequest {
  double arrival_s = 0;  ///< since the run's beginning; closed loops do not look at it
  std::string prompt;
  std::string messages;            ///< a JSON array in place of the prompt; chat alone
  std::int64_t prompt_tokens = 0;  ///< as measured beforehand; 0: not known
  std::int64_t max_tokens = 0;
};

struct WorkloadOptions {
  std::size_t requests = 64;
  std::uint64_t seed = 0;
  /// Arrivals a second, as a Poisson process; 0: the trace's times.
  double rate = 0;
  TokenLengths prompt_tokens, output_tokens;
  std::int64_t shared_prefix = 0;  ///< tokens in front of each prompt, the same in a group
  int prefix_groups = 1;
  std::string prompts_file;  ///< .jsonl: whole prompts; else text to take words from
  std::string trace_file;
  double time_scale = 1;                        ///< by which the trace's times are multiplied
  double length_scale = 1;                      ///< by which its lengths are
  std::int64_t prompt_max = 0, output_max = 0;  ///< longer ones are cut; 0: none is
};

/// Makes the requests of each round. Rounds have different texts, lest one finds its
/// prefixes in the caches that another has filled; the same round has the same always.
class Workload {
 public:
  /// Reads the files. `counter` outlives the workload. Errors: files that cannot be read,
  /// with the line; messages for an endpoint that takes none.
  static Result<Workload> create(const WorkloadOptions& options, Endpoint endpoint,
                                 TokenCounter& counter);

  Result<std::vector<PlannedRequest>> plan(std::uint32_t round, std::size_t requests);

 private:
  struct GivenPrompt {
    std::string prompt, messages;
  };
  Workload(const WorkloadOptions& options, PromptMaker maker)
      : options_(options), maker_(std::move(maker)) {}
  static Result<std::vector<GivenPrompt>> read_prompts(const std::string& path, Endpoint endpoint);
  Status fill_from_trace(std::vector<PlannedRequest>& plan, std::uint32_t round);
  Status fill_synthetic(std::vector<PlannedRequest>& plan, std::uint32_t round);
  using Blocks = std::map<std::int64_t, MadePrompt>;
  Result<MadePrompt> join_blocks(const TraceRequest& request, std::int64_t tokens,
                                 std::uint64_t seed, Blocks& made);

  WorkloadOptions options_;
  PromptMaker maker_;
  std::vector<GivenPrompt> given_;
  std::vector<TraceRequest> trace_;
};

}  // namespace ridgeline::load
