#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ridgeline/tensor/tensor_view.h"

namespace ridgeline {

/// Rows [first, first + count) of a tensor as floats, [count][cols] at `out`, each element
/// with the input that it belongs to, whatever order the tensor has its inputs in.
void decode_rows(const TensorView& tensor, std::int64_t first, std::int64_t count,
                 std::vector<std::byte>& scratch, float* out);

}  // namespace ridgeline
