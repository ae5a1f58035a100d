#pragma once

#include <cstdint>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/engine.h"

namespace ridgeline {

/// The rate of one kind of work, over repetitions.
struct Rate {
  std::vector<double> tokens_per_second;  ///< one per repetition

  double median() const;
  double mean() const;
  double standard_deviation() const;
};

struct ModelBenchmark {
  std::int64_t prompt_tokens = 512;     ///< 0: no prefill
  std::int64_t generated_tokens = 128;  ///< 0: no decode
  std::int64_t depth = 0;               ///< tokens in the cache before either begins
  int repetitions = 5;
};

/// As llama-bench measures: random tokens, no sampling, one warm-up, prefill of a whole
/// prompt and decode of single tokens apart. Error: more tokens than the context.
struct ModelBenchmarkResult {
  Rate prefill, decode;
};
Result<ModelBenchmarkResult> benchmark_model(Engine& engine, const ModelBenchmark& work);

}  // namespace ridgeline
