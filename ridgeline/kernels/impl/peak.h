#pragma once

#include "ridgeline/kernels/impl/dot.h"
#include "ridgeline/kernels/impl/isa_entry.h"

// What the ISA can multiply and add at best: chains of one instruction (or of as few as
// it takes) in registers, as many as hide its latency, nothing else.

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// More than a latency of four cycles at two instructions a cycle needs; 16 registers hold
/// them and the operands (of SSE2, two for every vector here).
inline constexpr int kPeakChains = kPortable ? 6 : 10;
inline constexpr int kPeakFloats = kPeakChains * kLanes;

/// body(j) for each of the chains j, `steps` times rounded up to a turn of the loop.
inline constexpr int kPeakTurn = 8;
template <class Body>
RIDGELINE_INLINE void peak_loop(std::int64_t steps, Body&& body) {
  RIDGELINE_LOOP for (std::int64_t i = 0; i < steps; i += kPeakTurn)
      unroll<0, kPeakTurn>([&](auto turn) RIDGELINE_BODY {
        unroll<0, kPeakChains>([&](auto j) RIDGELINE_BODY { body(j, turn); });
      });
}

float peak_f32(std::int64_t steps) {
  const VecF x = splat(static_cast<float>(opaque(1))), y = splat(static_cast<float>(opaque(1)));
  VecF sum[kPeakChains];
  RIDGELINE_UNROLL for (int j = 0; j < kPeakChains; ++j) sum[j] = splat(static_cast<float>(j));
  peak_loop(steps, [&](auto j, auto) RIDGELINE_BODY { sum[j] = fma(sum[j], x, y); });
  RIDGELINE_UNROLL for (int j = 1; j < kPeakChains; ++j) sum[0] = add(sum[0], sum[j]);
  return reduce_add(sum[0]);
}

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)

#if defined(__AVX512VNNI__)
RIDGELINE_INLINE VecI peak_dot4(VecI sum, VecI u, VecI x) { return _mm512_dpbusd_epi32(sum, u, x); }
#else
RIDGELINE_INLINE VecI peak_dot4(VecI sum, VecI u, VecI x) { return dot4(sum, u, x); }
#endif
struct PeakDots {
  static constexpr int kElements = 4;  ///< of a lane and step
  VecI u, x, sum[kPeakChains], wide;
  template <int j, int turn>
  RIDGELINE_INLINE void step() {
    sum[j] = peak_dot4(sum[j], u, x);
  }
};

#elif defined(__AVX2__)

/// As Sum<15> does: products of nibbles are added in 16 bits, and one sum in eight steps is
/// widened. Wider levels need more instructions, and cannot reach this.
struct PeakDots {
  static constexpr int kElements = 4;
  VecI u, x, sum[kPeakChains], wide;
  template <int j, int turn>
  RIDGELINE_INLINE void step() {
    compute_now(x);  // another number, for all that the compiler knows
    const VecI product = multiply_bytes(u, x);
    if constexpr (turn == 0) {
      wide = add(wide, multiply_halves(sum[j], splat_half(1)));
      sum[j] = product;
    } else {
      sum[j] = add_halves(sum[j], product);
    }
    compute_now(sum[j]);
  }
};

#else

/// What is summed is what is multiplied, or the product would be computed but once.
struct PeakDots {
  static constexpr int kElements = 2;
  VecI u, x, sum[kPeakChains], wide;
  template <int j, int turn>
  RIDGELINE_INLINE void step() {
    sum[j] = dot2(sum[j], sum[j], x);
  }
};

#endif
inline constexpr int kPeakDotElements = kPeakFloats * PeakDots::kElements;

float peak_int8(std::int64_t steps) {
  PeakDots dots;
  dots.u = dots.x = splat_i(opaque(1));
  dots.wide = zero_i();
  RIDGELINE_UNROLL for (int j = 0; j < kPeakChains; ++j) dots.sum[j] = splat_i(j);
  peak_loop(steps, [&](auto j, auto turn) RIDGELINE_BODY { dots.template step<j, turn>(); });
  RIDGELINE_UNROLL for (int j = 0; j < kPeakChains; ++j) dots.wide = add(dots.wide, dots.sum[j]);
  return static_cast<float>(reduce_add(dots.wide));
}

#if defined(__AVX512BF16__)
float peak_bf16(std::int64_t steps) {
  const auto x = (__m512bh)splat_i(opaque(0x3f803f80));
  VecF sum[kPeakChains];
  RIDGELINE_UNROLL for (int j = 0; j < kPeakChains; ++j) sum[j] = splat(static_cast<float>(j));
  peak_loop(steps, [&](auto j, auto) RIDGELINE_BODY { sum[j] = _mm512_dpbf16_ps(sum[j], x, x); });
  RIDGELINE_UNROLL for (int j = 1; j < kPeakChains; ++j) sum[0] = add(sum[0], sum[j]);
  return reduce_add(sum[0]);
}
#endif

constexpr PeakKernel kPeakList[] = {
    {Arithmetic::kF32, 2.0 * kPeakFloats, peak_f32},
#if defined(__AVX512BF16__)
    {Arithmetic::kBF16, 2.0 * 2 * kPeakFloats, peak_bf16},
#endif
    {Arithmetic::kInt8, 2.0 * kPeakDotElements, peak_int8},
};

}  // namespace

const PeakKernels kPeaks{kPeakList, sizeof kPeakList / sizeof *kPeakList};

}  // namespace ridgeline::RIDGELINE_ISA
