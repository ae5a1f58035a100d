#pragma once

#include <cstddef>
#include <cstdint>

#include "ridgeline/tensor/dtype.h"

namespace ridgeline {

/// Blocks of n elements for benchmarks and tests of the types that have no encoder: any
/// codes and scales, and of each block a factor that gives its elements the root mean
/// square `size`.
void random_blocks(DType dtype, std::uint32_t seed, float size, std::int64_t n, std::byte* blocks);

}  // namespace ridgeline
