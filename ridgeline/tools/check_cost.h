#pragma once

#include <cstdint>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/engine.h"

namespace ridgeline {

/// What a forward pass over so many rows of one sequence takes, each with its logits.
struct CheckCost {
  std::int64_t rows = 0;
  double seconds = 0;    ///< median of the rounds
  double predicted = 0;  ///< by the engine's cost curve
};

/// Measured for 1 to `most` rows behind `depth` positions, in `rounds` rounds over all of them.
/// The engine must be idle. Errors: the context or the KV pool has no room for that.
Result<std::vector<CheckCost>> measure_check_costs(Engine& engine, std::int64_t depth, int most,
                                                   int rounds);

}  // namespace ridgeline
