#pragma once

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/impl/wide.h"

#if defined(__F16C__)
#include <immintrin.h>
#endif

// What the encoders of rows share: blocks of 32 as two vectors, what is greatest in them,
// and bytes.
namespace ridgeline::RIDGELINE_ISA {
namespace {

constexpr int kBlock = 32;
using WideB = std::uint8_t __attribute__((vector_size(kWide)));
using FourF = float __attribute__((vector_size(16)));
using FourI = std::int32_t __attribute__((vector_size(16)));

RIDGELINE_INLINE WideF load(const float* x) {
  WideF v;
  __builtin_memcpy(&v, x, sizeof v);
  return v;
}
RIDGELINE_INLINE WideI to_int(WideF v) { return __builtin_convertvector(v, WideI); }
RIDGELINE_INLINE WideF to_float(WideI v) { return __builtin_convertvector(v, WideF); }
/// The low bytes.
RIDGELINE_INLINE void store_bytes(WideI v, void* to) {
  const WideB bytes = __builtin_convertvector(v, WideB);
  __builtin_memcpy(to, &bytes, sizeof bytes);
}

RIDGELINE_INLINE FourI four_ints(const void* x) {
  FourI v;
  __builtin_memcpy(&v, x, sizeof v);
  return v;
}
RIDGELINE_INLINE FourF four_floats(const float* x) {
  FourF v;
  __builtin_memcpy(&v, x, sizeof v);
  return v;
}

template <class Four, class Take>
RIDGELINE_INLINE auto across(Four v, Take take) {
  v = take(v, __builtin_shufflevector(v, v, 2, 3, 0, 1));
  return take(v, __builtin_shufflevector(v, v, 1, 0, 3, 2))[0];
}

/// rounding::reciprocal.
RIDGELINE_INLINE float reciprocal(float d) {
  const float inverse = 1.0f / d;
  return __builtin_isfinite(inverse) ? inverse : 0.0f;
}

RIDGELINE_INLINE std::uint16_t narrow(float v) {
#if defined(__F16C__)
  return _cvtss_sh(v, _MM_FROUND_TO_NEAREST_INT);
#else
  return f32_to_f16(v);
#endif
}

/// rounding::signed_absmax of a block. The greatest positive and the greatest negative number
/// as integers; only where they are alike it matters which comes first.
RIDGELINE_INLINE float signed_absmax(const float* x) {
  constexpr std::int32_t kSign = static_cast<std::int32_t>(0x80000000u);
  const auto more = [](FourI a, FourI b) { return a > b ? a : b; };
  FourI positive = four_ints(x), negative = positive ^ kSign;
  for (int i = 4; i < kBlock; i += 4) {
    const FourI bits = four_ints(x + i);
    positive = more(bits, positive);
    negative = more(bits ^ kSign, negative);
  }
  const std::int32_t most = across(positive, more), least = across(negative, more);
  if (most == least) {
    for (int i = 0; i < kBlock; ++i)
      if ((__builtin_bit_cast(std::int32_t, x[i]) & 0x7fffffff) == most) return x[i];
  }
  return __builtin_bit_cast(float, most > least ? most : least ^ kSign);
}

struct Ends {
  float min, max;
};

/// The first of the least and the first of the greatest, which tells zeros from each other.
RIDGELINE_INLINE Ends ends(const float* x) {
  const auto less = [](FourF a, FourF b) { return a < b ? a : b; };
  const auto more = [](FourF a, FourF b) { return a > b ? a : b; };
  FourF low = four_floats(x), high = low;
  for (int i = 4; i < kBlock; i += 4) {
    const FourF v = four_floats(x + i);
    low = less(v, low);
    high = more(v, high);
  }
  Ends found{across(low, less), across(high, more)};
  if (found.min == 0.0f || found.max == 0.0f) {
    found = {x[0], x[0]};
    for (int i = 1; i < kBlock; ++i) {
      found.min = x[i] < found.min ? x[i] : found.min;
      found.max = x[i] > found.max ? x[i] : found.max;
    }
  }
  return found;
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
