#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/load/load_report.h"
#include "ridgeline/tools/load/load_run.h"
#include "ridgeline/tools/load/workload.h"

namespace ridgeline::load {

struct ServeBenchOptions {
  std::vector<Target> targets;  ///< without a model's name: the first that the server has
  WorkloadOptions workload;
  LoadOptions load;
  std::string model_file;  ///< whose tokenizer measures prompts where no server does
  int rounds = 1;
  std::size_t warm_up = 2;  ///< requests to each server before the first round
  double patience_s = 0;    ///< for servers to be ready
  double pause_s = 0;       ///< between runs
  bool expect_identical = false;
  std::function<void(const std::string&)> on_progress;
};

/// A request that was answered otherwise in company than alone.
struct Difference {
  int round = 0;
  std::size_t request = 0, byte = 0;  ///< where the texts part
  std::string alone, loaded;          ///< some text from there on
};

/// All that one server gave.
struct ServerRuns {
  Target target;
  std::vector<LoadRun> rounds;
  std::vector<LoadRun> alone;  ///< the same requests, one after the other, where asked for
  std::vector<Difference> differences;
};

struct ServeBench {
  std::vector<ServerRuns> servers;  ///< in the order of the targets
  std::string token_counter;        ///< what measured the prompts
};

/// Runs every round on one server after the other, A B A B ..., because a machine's speed
/// drifts by more than servers differ. Requests that fail are part of the result. Errors: a
/// server that is not there or fails the warm-up; files that cannot be read.
Result<ServeBench> bench_servers(const ServeBenchOptions& options);

}  // namespace ridgeline::load
