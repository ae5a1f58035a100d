#pragma once

#include "ridgeline/base/result.h"
#include "ridgeline/model/metadata_reader.h"
#include "ridgeline/ops/experts.h"

namespace ridgeline {

/// The mixtures of experts of a model's layers (Shazeer et al. 2017).
struct ExpertConfig {
  int count = 0;            ///< in each layer that has them; 0: none has
  int ffn_size = 0;         ///< of one expert
  int shared_ffn_size = 0;  ///< of the expert that sees every row beside the chosen ones; 0: none
  int dense_layers = 0;     ///< the first ones, which have an ordinary feed-forward network
  RoutingRule routing;
};

/// Reads expert_*; `ffn_size` is that of layers without experts. Errors: an unknown gating
/// function; groups that do not divide the experts or hold too few of them.
Result<ExpertConfig> read_expert_config(const MetadataReader& reader, int ffn_size);

}  // namespace ridgeline
