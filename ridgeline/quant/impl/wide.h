#pragma once

#include <cstdint>

// Sixteen numbers side by side, in the vector extension of GCC and clang, for code that
// is written once and compiled for each instruction set (quant/CMakeLists.txt): one
// register with AVX-512, two with AVX2, four with SSE2 and elsewhere. There is no fused
// multiply-add and every lane goes its own way, so the bits are the same on all of them.
//
// As in kernels/impl, everything a file below quant/<isa>/ includes from here lives in the
// unnamed namespace inside ridgeline::<isa>, and calls no inline function of std::.

#if !defined(RIDGELINE_ISA)
#error "only files below quant/<isa>/ may include this"
#endif
#define RIDGELINE_INLINE [[gnu::always_inline]] inline

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// Two vectors as one of twice the width. (GCC has such vectors too, but takes comparisons and
/// selections of what is wider than a register to pieces of one element.)
template <class V>
struct Two {
  V low, high;
  static constexpr int kHalf = static_cast<int>(sizeof(V) / 4);
  RIDGELINE_INLINE auto operator[](int lane) const {
    return lane < kHalf ? low[lane] : high[lane - kHalf];
  }
};

#define RIDGELINE_TWO(op)                                                      \
  template <class V, class W>                                                  \
  RIDGELINE_INLINE auto operator op(const Two<V>& a, const Two<W>& b) {        \
    return Two<decltype(a.low op b.low)>{a.low op b.low, a.high op b.high};    \
  }                                                                            \
  template <class V>                                                           \
  RIDGELINE_INLINE auto operator op(const Two<V>& a, decltype(V{}[0] + 0) b) { \
    return Two<decltype(a.low op b)>{a.low op b, a.high op b};                 \
  }                                                                            \
  template <class V>                                                           \
  RIDGELINE_INLINE auto operator op(decltype(V{}[0] + 0) a, const Two<V>& b) { \
    return Two<decltype(a op b.low)>{a op b.low, a op b.high};                 \
  }
RIDGELINE_TWO(+)
RIDGELINE_TWO(-)
RIDGELINE_TWO(*)
RIDGELINE_TWO(/)
RIDGELINE_TWO(<)
RIDGELINE_TWO(>)
RIDGELINE_TWO(>=)
RIDGELINE_TWO(<=)
RIDGELINE_TWO(==)
RIDGELINE_TWO(!=)
RIDGELINE_TWO(&)
RIDGELINE_TWO(|)
RIDGELINE_TWO(<<)
RIDGELINE_TWO(>>)
#undef RIDGELINE_TWO
template <class V>
RIDGELINE_INLINE Two<V> operator-(const Two<V>& a) {
  return {-a.low, -a.high};
}
template <class V, class B>
RIDGELINE_INLINE void operator+=(Two<V>& a, const B& b) {
  a = a + b;
}
template <class V, class B>
RIDGELINE_INLINE void operator-=(Two<V>& a, const B& b) {
  a = a - b;
}
template <class V, class B>
RIDGELINE_INLINE void operator|=(Two<V>& a, const B& b) {
  a = a | b;
}

using FourF = float __attribute__((vector_size(16)));
using FourI = std::int32_t __attribute__((vector_size(16)));
using NativeEightF = float __attribute__((vector_size(32)));
using NativeEightI = std::int32_t __attribute__((vector_size(32)));
using NativeSixteenF = float __attribute__((vector_size(64)));
using NativeSixteenI = std::int32_t __attribute__((vector_size(64)));

#if defined(__AVX2__)
using EightF = NativeEightF;
using EightI = NativeEightI;
#else
using EightF = Two<FourF>;
using EightI = Two<FourI>;
#endif
#if defined(__AVX512F__)
using WideF = NativeSixteenF;
using WideI = NativeSixteenI;
#else
using WideF = Two<EightF>;
using WideI = Two<EightI>;
#endif
constexpr int kWide = 16;

/// `mask` is what a comparison gives.
template <class I, class V>
RIDGELINE_INLINE V select(I mask, V yes, V no) {
  return mask ? yes : no;
}
template <class I, class V>
RIDGELINE_INLINE Two<V> select(const Two<I>& mask, const Two<V>& yes, const Two<V>& no) {
  return {select(mask.low, yes.low, no.low), select(mask.high, yes.high, no.high)};
}

/// Integers of the same width as V's numbers, or those numbers of them.
template <class To, class V>
RIDGELINE_INLINE To convert(V v) {
  return __builtin_convertvector(v, To);
}
template <class To, class V>
RIDGELINE_INLINE To convert(const Two<V>& v) {
  using Half = decltype(To{}.low);
  return {convert<Half>(v.low), convert<Half>(v.high)};
}
/// The same bits.
template <class To, class From>
RIDGELINE_INLINE To bits_as(const From& v) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &v, sizeof to);
  return to;
}

/// From and to memory, which need not be aligned.
template <class V = WideF>
RIDGELINE_INLINE V load(const void* from) {
  V v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
template <class V>
RIDGELINE_INLINE void store(const V& v, void* to) {
  __builtin_memcpy(to, &v, sizeof v);
}

RIDGELINE_INLINE WideF wide(float v) { return v - WideF{}; }
/// 0, 1, ... 15.
RIDGELINE_INLINE WideF ramp() {
  constexpr float kRamp[kWide] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return load(kRamp);
}

/// `b` where the comparison fails, also on NaN.
RIDGELINE_INLINE WideF lesser(WideF a, WideF b) { return select(a < b, a, b); }
RIDGELINE_INLINE WideF greater(WideF a, WideF b) { return select(a > b, a, b); }
RIDGELINE_INLINE WideF clamped(WideF v, float low, float high) {
  return lesser(greater(v, wide(low)), wide(high));
}
/// To the nearest integer, ties to even, for |v| <= 2^22.
RIDGELINE_INLINE WideF rounded(WideF v) { return (v + 12582912.0f) - 12582912.0f; }

/// The lane of the least number; 0 where none is less than another.
RIDGELINE_INLINE int least_lane(WideF v) {
  float lanes[kWide];
  store(v, lanes);
  int least = 0;
  for (int lane = 1; lane < kWide; ++lane)
    if (lanes[lane] < lanes[least]) least = lane;
  return least;
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
