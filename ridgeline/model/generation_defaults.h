#pragma once

#include <cstdint>
#include <optional>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"

namespace ridgeline {

/// How a model's authors want it sampled, as far as its file says: metadata
/// general.sampling.*, which a Hugging Face folder has in generation_config.json.
struct GenerationDefaults {
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<std::int64_t> top_k;
};

/// Errors: a value of another type.
Result<GenerationDefaults> read_generation_defaults(const Checkpoint& checkpoint);

}  // namespace ridgeline
