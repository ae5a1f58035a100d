#pragma once

#include <cstdint>

namespace ridgeline {

// The softmax of attention that has a score matrix, in plain code that compilers vectorise for
// the baseline of the machine.

/// Of n >= 1 numbers.
float largest_of(const float* x, std::int64_t n);
/// x[i] = e^(x[i] - most), to about 1e-6 of the value; most is no less than any. Returns the sum.
float exponentiate(float* x, std::int64_t n, float most);

}  // namespace ridgeline
