#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/compare_engines.h"

namespace ridgeline {

/// One engine's figures of one kind, by round.
struct ComparedLine {
  std::string model;
  std::string figure;  ///< "prefill", "decode", "first token", "whole run", "peak memory"
  std::string unit;    ///< "tok/s", "s", "MB"
  ComparedSetting setting;
  std::string engine;
  std::vector<double> samples;
  /// How many times better the first engine did, rounds taken one by one: their median.
  std::optional<double> advantage;
};

struct CompareOptions {
  std::vector<std::string> models;
  std::vector<ComparedEngine> engines;    ///< the first one is compared with the others
  std::vector<ComparedSetting> settings;  ///< of the benchmark programs
  /// Instead of rates, a process's time to its first token and its memory, in a context of
  /// so many tokens; the file in the page cache.
  std::optional<std::int64_t> load_context;
  int threads = 1;
  int warm_up_rounds = 0;
  int rounds = 3;
  double pause_seconds = 0.3;  ///< between runs
  double run_seconds_max = 900;
  /// With the lines of each setting: the engines in order, then the best rival of each
  /// round where there are several.
  std::function<void(const std::vector<ComparedLine>&)> on_lines;
  /// A sentence about what could not be measured.
  std::function<void(const std::string&)> on_note;
  std::function<void(const std::string&)> on_progress;
};

/// Runs the engines one after the other, A B C A B C ..., each run a process of its own,
/// because a machine's speed drifts by more than engines differ. One that fails is left
/// out of that setting, and the others go on.
/// Errors: nothing could be measured; SIGINT or SIGTERM came.
Result<std::vector<ComparedLine>> compare_engines(const CompareOptions& options);

/// The share of all CPUs that processes keep busy over `seconds`.
double busy_share(double seconds);

}  // namespace ridgeline
