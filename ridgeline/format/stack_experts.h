#pragma once

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"

namespace ridgeline {

/// The checkpoint with each layer's experts as one tensor, as GGUF files have them today:
/// blk.0.ffn_gate.0.weight, blk.0.ffn_gate.1.weight ... [rows][cols] become
/// blk.0.ffn_gate_exps.weight [experts][rows][cols]. Its rows are read from where the parts lie,
/// whose pages are let go behind. Error: experts of different shapes or types, or one missing.
Result<Checkpoint> stack_experts(Checkpoint checkpoint);

}  // namespace ridgeline
