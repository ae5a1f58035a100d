#pragma once

#include <cstdint>

// Four sub-blocks side by side in one vector (of GCC's and clang's vector extension,
// four lanes being what every 64-bit processor has). The sums of the K-quants' scale
// search must run in ascending order within a sub-block, or the bytes would not be the
// reference's; so the lanes go across sub-blocks instead.
namespace ridgeline::lanes {

using Float4 = float __attribute__((vector_size(16)));
using Int4 = std::int32_t __attribute__((vector_size(16)));

/// Element i of four consecutive sub-blocks of n elements each.
inline Float4 gather(const float* x, int n, int i) {
  return Float4{x[i], x[n + i], x[2 * n + i], x[3 * n + i]};
}

/// All bits where the comparison holds, as the vector extension gives it.
inline Float4 select(Int4 mask, Float4 yes, Float4 no) {
  return reinterpret_cast<Float4>((mask & reinterpret_cast<Int4>(yes)) |
                                  (~mask & reinterpret_cast<Int4>(no)));
}
inline Int4 select(Int4 mask, Int4 yes, Int4 no) { return (mask & yes) | (~mask & no); }

inline Float4 absolute(Float4 v) {
  return reinterpret_cast<Float4>(reinterpret_cast<Int4>(v) & 0x7fffffff);
}
inline bool any(Int4 mask) { return (mask[0] | mask[1] | mask[2] | mask[3]) != 0; }

inline Float4 to_float(Int4 v) { return __builtin_convertvector(v, Float4); }

/// rounding::round_half_even, then rounding::clamp.
inline Int4 round_to_level(Float4 v, int low, int high) {
  const Int4 rounded = (reinterpret_cast<Int4>(v + 12582912.0f) & 0x007fffff) - 0x00400000;
  const Int4 floor = select(rounded < low, Int4{} + low, rounded);
  return select(floor > high, Int4{} + high, floor);
}

}  // namespace ridgeline::lanes
