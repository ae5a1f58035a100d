#pragma once

#include <cstdint>

// Sixteen numbers side by side, in the vector extension of GCC and clang, for code that
// is written once and compiled for each instruction set (quant/CMakeLists.txt): one
// register with AVX-512, two with AVX2, four with SSE2. There is no fused multiply-add
// and every lane goes its own way, so the bits are the same on all of them.
//
// As in kernels/impl, everything a file below quant/<isa>/ includes from here lives in the
// unnamed namespace inside ridgeline::<isa>, and calls no inline function of std::.

#if !defined(RIDGELINE_ISA)
#error "only files below quant/<isa>/ may include this"
#endif
#define RIDGELINE_INLINE [[gnu::always_inline]] inline

namespace ridgeline::RIDGELINE_ISA {
namespace {

constexpr int kWide = 16;
using WideF = float __attribute__((vector_size(4 * kWide)));
using WideI = std::int32_t __attribute__((vector_size(4 * kWide)));

RIDGELINE_INLINE WideF wide(float v) { return v - WideF{}; }
/// 0, 1, ... 15.
RIDGELINE_INLINE WideF ramp() {
  return WideF{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
}

/// `b` where the comparison fails, also on NaN.
RIDGELINE_INLINE WideF lesser(WideF a, WideF b) { return a < b ? a : b; }
RIDGELINE_INLINE WideF greater(WideF a, WideF b) { return a > b ? a : b; }
RIDGELINE_INLINE WideF clamped(WideF v, float low, float high) {
  return lesser(greater(v, wide(low)), wide(high));
}
/// To the nearest integer, ties to even, for |v| <= 2^22.
RIDGELINE_INLINE WideF rounded(WideF v) { return (v + 12582912.0f) - 12582912.0f; }

/// The lane of the least number; 0 where none is less than another.
RIDGELINE_INLINE int least_lane(WideF v) {
  int least = 0;
  for (int lane = 1; lane < kWide; ++lane)
    if (v[lane] < v[least]) least = lane;
  return least;
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
