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
  using F = EightF;
  using I = EightI;
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
    return load<F>(lanes);
  }
  RIDGELINE_INLINE static F absolute(F v) { return bits_as<F>(bits_as<I>(v) & 0x7fffffff); }
  RIDGELINE_INLINE static bool any(I mask) {
    std::int32_t lanes[N], all = 0;
    store(mask, lanes);
    for (int lane = 0; lane < N; ++lane) all |= lanes[lane];
    return all != 0;
  }
  RIDGELINE_INLINE static F to_float(I v) { return convert<F>(v); }

  /// rounding::round_half_even, then rounding::clamp.
  RIDGELINE_INLINE static I round_to_level(F v, int low, int high) {
    const I rounded = (bits_as<I>(v + 12582912.0f) & 0x007fffff) - 0x00400000;
    const I floor = select(rounded < low, I{} + low, rounded);
    return select(floor > high, I{} + high, floor);
  }

  /// Per sub-block the element of greatest magnitude, the first one among equals.
  RIDGELINE_INLINE static F signed_absmax(const F* x, int n) {
    F most = x[0];
    for (int i = 1; i < n; ++i) {
      const I greater = (bits_as<I>(x[i]) & 0x7fffffff) > (bits_as<I>(most) & 0x7fffffff);
      most = select(greater, x[i], most);
    }
    return most;
  }

  /// levels[sub-block][element], each in a byte, with `more` added.
  RIDGELINE_INLINE static void store_levels(const I* levels, int n, int more, std::uint8_t* to) {
    for (int i = 0; i < n; ++i) {
      std::int32_t lanes[N];
      store(levels[i], lanes);
      for (int lane = 0; lane < N; ++lane)
        to[lane * n + i] = static_cast<std::uint8_t>(lanes[lane] + more);
    }
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
