#pragma once

#include <cstddef>
#include <cstdint>

#include "ridgeline/tensor/dtype.h"

namespace ridgeline {

// What a first implementation computes with: one number after the other. This file's code is
// compiled without the compiler's vectorisers (tools/CMakeLists.txt).

/// A row of the file's format as floats.
void scalar_decode(DType dtype, const std::byte* row, std::int64_t n, float* out);
/// Σ a[i] b[i], in ascending order.
float scalar_dot(const float* a, const float* b, std::int64_t n);
/// y[i] += factor x[i]
void scalar_add_scaled(const float* x, float factor, std::int64_t n, float* y);
/// n halves, `step` apart, as floats.
void scalar_halves(const std::byte* from, std::ptrdiff_t step, std::int64_t n, float* out);
/// x[i] = cap tanh(x[i] / cap)
void scalar_softcap(float* x, std::int64_t n, float cap);
/// x = e^x / (Σ e^x + e^sink); `sink` may be null.
void scalar_softmax(float* x, std::int64_t n, const float* sink);

}  // namespace ridgeline
