#include "ridgeline/model/generation_defaults.h"

namespace ridgeline {

Result<GenerationDefaults> read_generation_defaults(const Checkpoint& checkpoint) {
  GenerationDefaults d;
  RIDGELINE_TRY(d.temperature, checkpoint.number("general.sampling.temp"));
  RIDGELINE_TRY(d.top_p, checkpoint.number("general.sampling.top_p"));
  RIDGELINE_TRY(d.min_p, checkpoint.number("general.sampling.min_p"));
  RIDGELINE_TRY(d.repetition_penalty, checkpoint.number("general.sampling.penalty_repeat"));
  RIDGELINE_TRY(d.top_k, checkpoint.integer("general.sampling.top_k"));
  return d;
}

}  // namespace ridgeline
