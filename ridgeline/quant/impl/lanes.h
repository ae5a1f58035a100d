#pragma once

#include "ridgeline/quant/impl/wide.h"

// Sub-blocks side by side, one in each of N lanes. The sums of the K-quants' plain scale
// searches must run in ascending order within a sub-block, or the bytes would not be the
// reference's; so the lanes go across sub-blocks instead.
namespace ridgeline::RIDGELINE_ISA {
namespace {

template <int N>
struct VectorsOf;
template <>
struct VectorsOf<8> {
  using F = float __attribute__((vector_size(32)));
  using I = std::int32_t __attribute__((vector_size(32)));
};
template <>
struct VectorsOf<16> {
  using F = WideF;
  using I = WideI;
};

template <int N>
struct Lanes {
  using F = typename VectorsOf<N>::F;
  using I = typename VectorsOf<N>::I;

  /// Element i of N consecutive sub-blocks of n elements each.
  RIDGELINE_INLINE static F gather(const float* x, int n, int i) {
    float lanes[N];
    for (int lane = 0; lane < N; ++lane) lanes[lane] = x[lane * n + i];
    F v;
    __builtin_memcpy(&v, lanes, sizeof v);
    return v;
  }
  RIDGELINE_INLINE static F absolute(F v) {
    return reinterpret_cast<F>(reinterpret_cast<I>(v) & 0x7fffffff);
  }
  RIDGELINE_INLINE static bool any(I mask) {
    std::int32_t lanes[N], all = 0;
    __builtin_memcpy(lanes, &mask, sizeof lanes);
    for (int lane = 0; lane < N; ++lane) all |= lanes[lane];
    return all != 0;
  }
  RIDGELINE_INLINE static F to_float(I v) { return __builtin_convertvector(v, F); }

  /// rounding::round_half_even, then rounding::clamp.
  RIDGELINE_INLINE static I round_to_level(F v, int low, int high) {
    const I rounded = (reinterpret_cast<I>(v + 12582912.0f) & 0x007fffff) - 0x00400000;
    const I floor = rounded < low ? I{} + low : rounded;
    return floor > high ? I{} + high : floor;
  }

  /// Per sub-block the element of greatest magnitude, the first one among equals.
  RIDGELINE_INLINE static F signed_absmax(const F* x, int n) {
    F most = x[0];
    for (int i = 1; i < n; ++i) {
      const I greater =
          (reinterpret_cast<I>(x[i]) & 0x7fffffff) > (reinterpret_cast<I>(most) & 0x7fffffff);
      most = greater ? x[i] : most;
    }
    return most;
  }

  /// levels[sub-block][element], each in a byte, with `more` added.
  RIDGELINE_INLINE static void store(const I* levels, int n, int more, std::uint8_t* to) {
    for (int i = 0; i < n; ++i) {
      std::int32_t lanes[N];
      __builtin_memcpy(lanes, &levels[i], sizeof lanes);
      for (int lane = 0; lane < N; ++lane)
        to[lane * n + i] = static_cast<std::uint8_t>(lanes[lane] + more);
    }
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
