#pragma once

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/impl/wide.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

// What the encoders of rows share: blocks of 32 as two vectors, what is greatest in them,
// and bytes.
namespace ridgeline::RIDGELINE_ISA {
namespace {

constexpr int kBlock = 32;

RIDGELINE_INLINE WideI to_int(WideF v) { return convert<WideI>(v); }
RIDGELINE_INLINE WideF to_float(WideI v) { return convert<WideF>(v); }

/// The low bytes.
RIDGELINE_INLINE void store_bytes(WideI v, void* to) {
#if defined(__AVX512F__) || !defined(__SSE2__)
  using Bytes = std::uint8_t __attribute__((vector_size(kWide)));
  store(__builtin_convertvector(bits_as<NativeSixteenI>(v), Bytes), to);
#else
  std::int32_t lanes[kWide];
  store(v & 255, lanes);
  const auto* four = reinterpret_cast<const __m128i*>(lanes);
  const __m128i low = _mm_packs_epi32(_mm_loadu_si128(four), _mm_loadu_si128(four + 1));
  const __m128i high = _mm_packs_epi32(_mm_loadu_si128(four + 2), _mm_loadu_si128(four + 3));
  store(_mm_packus_epi16(low, high), to);
#endif
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
  FourI positive = load<FourI>(x), negative = positive ^ kSign;
  for (int i = 4; i < kBlock; i += 4) {
    const FourI bits = load<FourI>(x + i);
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
  FourF low = load<FourF>(x), high = low;
  for (int i = 4; i < kBlock; i += 4) {
    const FourF v = load<FourF>(x + i);
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
