#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#define RIDGELINE_INLINE inline __attribute__((always_inline))

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// No SIMD to speak of: short code is better than wide code.
inline constexpr bool kPortable = false;
inline constexpr int kLanes = 16;
using VecF = __m512;
using VecI = __m512i;
using Mask = __mmask16;

// --- floats -------------------------------------------------------------------

RIDGELINE_INLINE VecF zero_f() { return _mm512_setzero_ps(); }
RIDGELINE_INLINE VecF splat(float x) { return _mm512_set1_ps(x); }
RIDGELINE_INLINE VecF load(const float* p) { return _mm512_loadu_ps(p); }
RIDGELINE_INLINE void store(float* p, VecF v) { _mm512_storeu_ps(p, v); }

RIDGELINE_INLINE VecF add(VecF a, VecF b) { return _mm512_add_ps(a, b); }
RIDGELINE_INLINE VecF sub(VecF a, VecF b) { return _mm512_sub_ps(a, b); }
RIDGELINE_INLINE VecF mul(VecF a, VecF b) { return _mm512_mul_ps(a, b); }
RIDGELINE_INLINE VecF div(VecF a, VecF b) { return _mm512_div_ps(a, b); }
/// a b + c
RIDGELINE_INLINE VecF fma(VecF a, VecF b, VecF c) { return _mm512_fmadd_ps(a, b, c); }
/// c - a b
RIDGELINE_INLINE VecF fnma(VecF a, VecF b, VecF c) { return _mm512_fnmadd_ps(a, b, c); }
/// The second operand where either is NaN (x86's rule, in every ISA).
RIDGELINE_INLINE VecF max(VecF a, VecF b) { return _mm512_max_ps(a, b); }
RIDGELINE_INLINE VecF min(VecF a, VecF b) { return _mm512_min_ps(a, b); }
RIDGELINE_INLINE VecF abs(VecF a) { return _mm512_abs_ps(a); }

// --- integers -----------------------------------------------------------------

RIDGELINE_INLINE VecI zero_i() { return _mm512_setzero_si512(); }
RIDGELINE_INLINE VecI splat_i(std::int32_t x) { return _mm512_set1_epi32(x); }
RIDGELINE_INLINE VecI load_i(const void* p) { return _mm512_loadu_si512(p); }
RIDGELINE_INLINE void store_i(void* p, VecI v) { _mm512_storeu_si512(p, v); }
RIDGELINE_INLINE VecI add(VecI a, VecI b) { return _mm512_add_epi32(a, b); }
RIDGELINE_INLINE VecI sub(VecI a, VecI b) { return _mm512_sub_epi32(a, b); }
RIDGELINE_INLINE VecI mul(VecI a, VecI b) { return _mm512_mullo_epi32(a, b); }
RIDGELINE_INLINE VecI bit_and(VecI a, VecI b) { return _mm512_and_si512(a, b); }
RIDGELINE_INLINE VecI bit_or(VecI a, VecI b) { return _mm512_or_si512(a, b); }
RIDGELINE_INLINE VecI bit_xor(VecI a, VecI b) { return _mm512_xor_si512(a, b); }
template <int n>
RIDGELINE_INLINE VecI shift_left(VecI a) {
  return _mm512_slli_epi32(a, n);
}
template <int n>
RIDGELINE_INLINE VecI shift_right(VecI a) {  // zeros come in
  return _mm512_srli_epi32(a, n);
}
template <int n>
RIDGELINE_INLINE VecI shift_right_signed(VecI a) {
  return _mm512_srai_epi32(a, n);
}
RIDGELINE_INLINE VecI max(VecI a, VecI b) { return _mm512_max_epi32(a, b); }
/// The lowest byte of each lane.
RIDGELINE_INLINE void store_low_bytes(void* p, VecI v) {
  _mm_storeu_si128(static_cast<__m128i*>(p), _mm512_cvtepi32_epi8(v));
}

// --- between the two ----------------------------------------------------------

RIDGELINE_INLINE VecF to_float(VecI a) { return _mm512_cvtepi32_ps(a); }
/// To nearest, ties to even; 0x80000000 where it does not fit or is NaN.
RIDGELINE_INLINE VecI to_int(VecF a) { return _mm512_cvtps_epi32(a); }
RIDGELINE_INLINE VecI bits(VecF a) { return _mm512_castps_si512(a); }
RIDGELINE_INLINE VecF from_bits(VecI a) { return _mm512_castsi512_ps(a); }

// --- bytes ----------------------------------------------------------------------

/// kLanes bytes, each zero extended.
RIDGELINE_INLINE VecI load_bytes(const void* p) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
/// A table of 16 bytes, and its entry for each byte of `index` (0..15).
using ByteTable = VecI;
RIDGELINE_INLINE ByteTable byte_table(const std::uint8_t* p) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
RIDGELINE_INLINE VecI look_up(ByteTable table, VecI index) {
  return _mm512_shuffle_epi8(table, index);
}

// --- masks --------------------------------------------------------------------

RIDGELINE_INLINE Mask less(VecF a, VecF b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
/// Lanes 0..n-1; n may be below 0 or above kLanes.
RIDGELINE_INLINE Mask first_lanes(int n) {
  return static_cast<Mask>(n >= kLanes ? 0xffff : n <= 0 ? 0 : (1 << n) - 1);
}
RIDGELINE_INLINE VecF select(Mask m, VecF if_set, VecF if_clear) {
  return _mm512_mask_blend_ps(m, if_clear, if_set);
}
/// Touches only the first n floats; the other lanes are 0.
RIDGELINE_INLINE VecF load_first(const float* p, int n) {
  return _mm512_maskz_loadu_ps(first_lanes(n), p);
}
RIDGELINE_INLINE void store_first(float* p, VecF v, int n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), v);
}

// --- across lanes: one fixed tree ---------------------------------------------

RIDGELINE_INLINE float reduce_add(VecF v) { return _mm512_reduce_add_ps(v); }
RIDGELINE_INLINE float reduce_max(VecF v) { return _mm512_reduce_max_ps(v); }
/// Wraps; the compiler's own ends in a scalar sum that must not overflow.
RIDGELINE_INLINE std::int32_t reduce_add(VecI v) {
  const __m256i h = _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
  s = _mm_add_epi32(s, _mm_unpackhi_epi64(s, s));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 1)));
}
RIDGELINE_INLINE std::int32_t reduce_max(VecI v) { return _mm512_reduce_max_epi32(v); }

// --- 16-bit floats in memory: kLanes of them ----------------------------------

RIDGELINE_INLINE VecF load_f16(const void* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}
RIDGELINE_INLINE void store_f16(void* p, VecF v) {
  _mm256_storeu_si256(static_cast<__m256i*>(p),
                      _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
RIDGELINE_INLINE VecF load_bf16(const void* p) {
  return from_bits(_mm512_slli_epi32(
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p))), 16));
}
/// Rounds to nearest even in integers (vcvtneps2bf16 would flush denormals); NaN stays NaN.
RIDGELINE_INLINE VecI to_bf16(VecF v) {
  const VecI b = bits(v);
  const VecI odd = _mm512_and_si512(_mm512_srli_epi32(b, 16), splat_i(1));
  const VecI rounded = add(b, add(odd, splat_i(0x7fff)));
  const Mask nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  return _mm512_srli_epi32(_mm512_mask_or_epi32(rounded, nan, b, splat_i(0x400000)), 16);
}
RIDGELINE_INLINE void store_bf16(void* p, VecF v) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtepi32_epi16(to_bf16(v)));
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
