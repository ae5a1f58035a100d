#pragma once

#include <span>
#include <vector>

#include "ridgeline/tools/ablation/generation.h"
#include "ridgeline/tools/ablation/growth_fit.h"

namespace ridgeline {

/// A measured number, or one that was extrapolated from shorter lengths.
struct Figure {
  double value = 0;
  bool extrapolated = false;
};

/// One request alone.
struct OneStream {
  Figure ttft_seconds;       ///< time to the first token
  Figure tokens_per_second;  ///< of those after it
  /// What was measured: prompts by their length, steps by the positions before them. Without
  /// a cache a step is a prompt.
  std::vector<GrowthPoint> prompts, steps;
  std::int64_t measured_tokens = 0;  ///< of the steps at the full prompt's length

  /// Growth of both, where something was measured.
  GrowthFit prompt_fit, step_fit;
  /// What a request takes.
  double seconds(std::int64_t prompt_tokens, std::int64_t output_tokens) const;
};

/// Measures prompt.size() and `output_tokens` where they take no more than about `seconds_max`;
/// else as long a prompt as does, and what follows is extrapolated.
Result<OneStream> measure_one_stream(Generation& generation, std::span<const TokenId> prompt,
                                     std::int64_t output_tokens, bool has_cache,
                                     double seconds_max);

}  // namespace ridgeline
