#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/format/hf_config.h"
#include "ridgeline/format/safetensors.h"
#include "ridgeline/tensor/tensor_view.h"

namespace ridgeline {

/// A Hugging Face folder's tensors as GGUF has them: renamed, and where GGUF's converter
/// reorders (heads of Llama's rotary pairs, GPT-2's transposed matrices, fused or stacked
/// experts, norms that count from one), converted row by row as they are read. Expert
/// matrices that the folder holds apart stay apart, under GGUF's older names
/// (blk.0.ffn_gate.3.weight). `path` names the folder in errors: a tensor that the
/// architecture does not have, one whose shape does not fit, a dtype that is not F32, F16
/// or BF16. Matrices that GPTQ or AWQ quantized (NAME.qweight, .qzeros, .scales, .g_idx) come
/// as one tensor (hf_packed4.h).
Result<std::vector<TensorView>> map_hf_tensors(std::span<const StoredTensor> stored,
                                               const HfConfig& config, const std::string& path);

}  // namespace ridgeline
