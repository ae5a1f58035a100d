#pragma once

#include "ridgeline/kernels/impl/simd.h"

// 2^t for t <= 0, the exponential of every softmax and sigmoid.
//
// With k = round(kSteps t) = kSteps n + j, 2^t = 2^n 2^(j/kSteps) 2^r, |r| <= 1/(2 kSteps):
// the middle factor is one permutation of a register (Tang, "Table-driven
// implementation of the exponential function", 1989), so that a cubic is enough for
// the last one: four operations on the multiplier ports, where a polynomial over the
// whole of [-1/2, 1/2] takes six.
//
// The error is below 1.5 units in the last place; 2^0 is exactly 1; the result is
// exactly 0 below 2^-126 (also for -inf), and NaN for NaN. Slightly positive t, as
// rounding makes them, are fine.

namespace ridgeline::RIDGELINE_ISA {
namespace {

// Entry j of the table holds the bits of 2^(j/kSteps) less j << kStepShift, which is
// what adding k << kStepShift contributes beside n << 23. The polynomial is
// (2^r - 1) / r, minimax in relative error: 1.6e-9 with 16 steps, 2.7e-8 with 8.
#if defined(__AVX512F__)
inline constexpr int kSteps = 16;
inline constexpr int kStepShift = 19;
alignas(64) inline constexpr std::int32_t kStepBits[kSteps] = {
    0x3f800000, 0x3f7daac3, 0x3f7b95c2, 0x3f79c3d3, 0x3f7837f0, 0x3f76f532, 0x3f75fed7, 0x3f75583f,
    0x3f7504f3, 0x3f7508a4, 0x3f75672a, 0x3f76248c, 0x3f7744fd, 0x3f78ccdf, 0x3f7ac0c7, 0x3f7d257d};
inline constexpr float kExp2C1 = 0x1.62e43p-1f;
inline constexpr float kExp2C2 = 0x1.ebfff4p-3f;
inline constexpr float kExp2C3 = 0x1.c6ac6cp-5f;

RIDGELINE_INLINE VecI step_bits(VecI k) {
  return _mm512_permutexvar_epi32(k, _mm512_load_si512(kStepBits));
}
RIDGELINE_INLINE VecF zero_below(float limit, VecF t, VecF v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(t, splat(limit), _CMP_NLT_UQ), v);
}
#else
inline constexpr int kSteps = 8;
inline constexpr int kStepShift = 20;
alignas(32) inline constexpr std::int32_t kStepBits[kSteps] = {
    0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7, 0x3f7504f3, 0x3f75672a, 0x3f7744fd, 0x3f7ac0c7};
inline constexpr float kExp2C1 = 0x1.62e432p-1f;
inline constexpr float kExp2C2 = 0x1.ec0c2ep-3f;
inline constexpr float kExp2C3 = 0x1.c6a008p-5f;

#if defined(__AVX2__)
RIDGELINE_INLINE VecI step_bits(VecI k) {
  return _mm256_permutevar8x32_epi32(load_i(kStepBits), k);
}
RIDGELINE_INLINE VecF zero_below(float limit, VecF t, VecF v) {
  return _mm256_and_ps(_mm256_cmp_ps(t, splat(limit), _CMP_NLT_UQ), v);
}
#else
RIDGELINE_INLINE VecI step_bits(VecI k) {
  VecI r = zero_i();
  for (int i = 0; i < kLanes; ++i) r[i] = kStepBits[k[i] & (kSteps - 1)];
  return r;
}
RIDGELINE_INLINE VecF zero_below(float limit, VecF t, VecF v) {
  return select(less(t, splat(limit)), zero_f(), v);
}
#endif
#endif

/// Adding it rounds to a multiple of 1/kSteps and leaves kSteps times that in the low
/// bits of the sum.
inline constexpr float kExp2Magic = 1.5f * static_cast<float>(1 << 23) / static_cast<float>(kSteps);
// log2(e) in two parts.
inline constexpr float kLog2E = 0x1.715476p+0f;
inline constexpr float kLog2ELow = 0x1.4ae0cp-26f;

/// 2^(k/kSteps + r) for the k in the low bits of `magic_k`; 0 where t < -126.
RIDGELINE_INLINE VecF exp2_from_parts(VecF t, VecF magic_k, VecF r) {
  const VecI k = bits(magic_k);
  const VecF step = from_bits(add(step_bits(k), shift_left<kStepShift>(k)));
  const VecF p = fma(fma(splat(kExp2C3), r, splat(kExp2C2)), r, splat(kExp2C1));
  return zero_below(-126.0f, t, fma(p, mul(r, step), step));
}

RIDGELINE_INLINE VecF exp2_nonpositive(VecF t) {
  const VecF magic_k = add(t, splat(kExp2Magic));
  return exp2_from_parts(t, magic_k, sub(t, sub(magic_k, splat(kExp2Magic))));
}

/// e^x for x <= 0.
RIDGELINE_INLINE VecF exp_nonpositive(VecF x) {
  const VecF t = mul(x, splat(kLog2E));
  const VecF magic_k = add(t, splat(kExp2Magic));
  const VecF r = fma(x, splat(kLog2E), sub(splat(kExp2Magic), magic_k));
  return exp2_from_parts(t, magic_k, fma(x, splat(kLog2ELow), r));
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
