#pragma once

#include <span>
#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/format/safetensors.h"
#include "ridgeline/tensor/tensor_view.h"

// One stored tensor, or a part of it, as a tensor of GGUF.

namespace ridgeline {

/// F32, F16 or BF16 as they lie. Error: another dtype.
Result<TensorView> as_stored(const StoredTensor& stored, const std::string& path);

/// Row i of the result is row source(i) of the stored one; `shape` is the result's.
TensorView pick_rows(TensorView stored, std::vector<std::int64_t> shape,
                     std::function<std::int64_t(std::int64_t)> source);

/// The same elements in another shape; for vectors, as it reads all of them for some. As rows
/// of one element a vector can be reordered by pick_rows().
TensorView reshaped(TensorView stored, std::vector<std::int64_t> shape);

/// x + offset, as F32: norms whose weights count from one, and what GGUF's converter keeps
/// exact.
TensorView as_f32(TensorView stored, float offset = 0.0F);

/// [..][rows][cols] to [..][cols][rows]; of the stored columns, first, first + step, ...
/// A row of the result is read across all stored rows.
TensorView transposed(TensorView stored, std::int64_t first = 0, std::int64_t step = 1);

/// gpt-oss: blocks [..][rows][blocks][16 bytes of neighbouring pairs] and scales
/// [..][rows][blocks] as GGUF's MXFP4; of the rows, first, first + step, ...
Result<TensorView> mxfp4(const StoredTensor& blocks, const StoredTensor& scales, std::int64_t first,
                         std::int64_t step, const std::string& path);

}  // namespace ridgeline
