#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/engine.h"

namespace ridgeline {

/// One line of a sweep.
struct Workload {
  enum class Kind {
    kPrefill,  ///< `tokens` prompt tokens of every stream, in chunks of the batch size
    kDecode,   ///< `tokens` steps of one token of every stream
  };
  Kind kind = Kind::kPrefill;
  std::int64_t tokens = 512;
  std::int64_t depth = 0;  ///< positions in every stream's cache beforehand
  int streams = 1;         ///< sequences side by side
};

/// What repetitions of one workload took.
struct Measurement {
  Workload work;
  std::vector<double> seconds;  ///< one per repetition, of the whole workload

  /// Tokens per second of all streams together, by the median repetition.
  double tokens_per_second() const;
  /// Standard deviation of the repetitions' rates.
  double spread() const;
};

/// As llama-bench and llama-batched-bench measure: random tokens, no sampling, prefill
/// and decode apart, a warm-up of each workload's kind first. Streams keep what is in
/// their cache from one workload to the next, so a sweep that deepens fills once.
/// `after_each` is called with every finished line; may be empty.
/// Errors: more tokens than the context or the KV pool holds; more streams than the
/// engine was loaded for.
Result<std::vector<Measurement>> benchmark_model(
    Engine& engine, const std::vector<Workload>& workloads, int repetitions,
    const std::function<void(const Measurement&)>& after_each);

}  // namespace ridgeline
