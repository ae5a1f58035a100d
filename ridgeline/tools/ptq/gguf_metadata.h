#pragma once

#include "ridgeline/format/gguf_writer.h"
#include "ridgeline/tools/ptq/quantize_plan.h"

namespace ridgeline::ptq {

/// The new file's metadata: the model's, but for how it was split into files, and with the new
/// general.file_type. Its texts are those of `model`.
GgufMetadata quantized_metadata(const GgufMetadata& model, const QuantizePlan& plan);

}  // namespace ridgeline::ptq
