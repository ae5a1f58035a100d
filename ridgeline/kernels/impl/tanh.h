#pragma once

#include "ridgeline/kernels/impl/exp2.h"

// tanh of any argument, to 3 units in the last place: an odd polynomial near 0, where
// (1 - e) would cancel, and (1 - e) / (1 + e) with e = exp(-2|x|) beyond. tanh(0) is 0
// with its sign; from |x| = 9.1 on the result is exactly +-1; NaN stays NaN.

namespace ridgeline::RIDGELINE_ISA {
namespace {

inline constexpr float kTanhSwitch = 0.625f;
// (tanh(x) / x - 1) / x^2 in powers of x^2, minimax in relative error of tanh over
// [0, kTanhSwitch]: 4.4e-9.
inline constexpr float kTanhC0 = -0x1.555532p-2f;
inline constexpr float kTanhC1 = 0x1.110726p-3f;
inline constexpr float kTanhC2 = -0x1.b83c5ap-5f;
inline constexpr float kTanhC3 = 0x1.52269cp-6f;
inline constexpr float kTanhC4 = -0x1.75e1ccp-8f;

RIDGELINE_INLINE VecF tanh(VecF x) {
  const VecF a = abs(x), u = mul(x, x);
  VecF q = fma(splat(kTanhC4), u, splat(kTanhC3));
  q = fma(q, u, splat(kTanhC2));
  q = fma(q, u, splat(kTanhC1));
  q = fma(q, u, splat(kTanhC0));
  const VecF small = fma(mul(a, u), q, a);
  const VecF e = exp_nonpositive(mul(a, splat(-2.0f)));
  const VecF large = div(sub(splat(1.0f), e), add(splat(1.0f), e));
  const VecF magnitude = select(less(a, splat(kTanhSwitch)), small, large);
  return from_bits(bit_or(bits(magnitude), bit_and(bits(x), splat_i(INT32_MIN))));
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
