#pragma once

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"

namespace ridgeline {

/// `--quantize TYPE`: the checkpoint with its F32, F16 and BF16 matrices as `type`, each row
/// rounded to nearest when it is packed; nothing is written. Kept as they are: vectors,
/// position tables, routers of experts (a few rows that decide much). A matrix whose rows
/// do not divide into the type's blocks becomes Q8_0, or stays where that does not fit
/// either. Errors: the checkpoint is quantized already; no encoder for the type.
Result<Checkpoint> quantize_on_load(Checkpoint checkpoint, DType type);

}  // namespace ridgeline
