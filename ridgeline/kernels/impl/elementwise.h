#pragma once

#include "ridgeline/kernels/impl/exp2.h"
#include "ridgeline/kernels/impl/isa_entry.h"

// The operations of one row that are no matrix product. Tails are masked, so that an
// element's arithmetic does not depend on where in a vector it falls.

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// Four sums of every fourth vector, folded in a tree: its order is a function of n.
/// In F32 the error of a sum of squares stays below (n / (4 kLanes) + 7) 2^-24.
float sum_of_squares(const float* x, std::int64_t n) {
  VecF sum[4] = {zero_f(), zero_f(), zero_f(), zero_f()};
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes)
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const VecF a = load(x + i + v * kLanes);
      sum[v] = fma(a, a, sum[v]);
    }
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    const std::int64_t left = n - i - v * kLanes;
    if (left <= 0) break;
    const VecF a = load_first(x + i + v * kLanes, left < kLanes ? static_cast<int>(left) : kLanes);
    sum[v] = fma(a, a, sum[v]);
  }
  return reduce_add(add(add(sum[0], sum[1]), add(sum[2], sum[3])));
}

/// Calls body(i, count) for each vector of n elements; count < kLanes in the last one.
template <class Body>
RIDGELINE_INLINE void for_vectors(std::int64_t n, const Body& body) {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i, kLanes);
  if (i < n) body(i, static_cast<int>(n - i));
}
RIDGELINE_INLINE VecF load_some(const float* p, int count) {
  return count == kLanes ? load(p) : load_first(p, count);
}
RIDGELINE_INLINE void store_some(float* p, VecF v, int count) {
  if (count == kLanes) {
    store(p, v);
  } else {
    store_first(p, v, count);
  }
}

void rms_norm(const float* x, const float* weight, float eps, std::int64_t n, float* out) {
  const float mean = sum_of_squares(x, n) / static_cast<float>(n);
  const VecF scale = splat(1.0f / __builtin_sqrtf(mean + eps));
  for_vectors(
      n, [&](std::int64_t i, int count) __attribute__((always_inline)) {
        const VecF normed = mul(load_some(x + i, count), scale);
        store_some(out + i, mul(normed, load_some(weight + i, count)), count);
      });
}

/// g / (1 + e^-g), from e^-|g| so that nothing overflows.
RIDGELINE_INLINE VecF silu(VecF g) {
  const VecF e = exp_nonpositive(sub(zero_f(), abs(g)));
  const VecF numerator = select(less(g, zero_f()), mul(g, e), g);
  return div(numerator, add(splat(1.0f), e));
}

void silu_mul(const float* gate, const float* up, std::int64_t n, float* out) {
  for_vectors(
      n, [&](std::int64_t i, int count) __attribute__((always_inline)) {
        const VecF g = silu(load_some(gate + i, count));
        store_some(out + i, mul(g, load_some(up + i, count)), count);
      });
}

void add_rows(const float* x, std::int64_t n, float* y) {
  for_vectors(
      n, [&](std::int64_t i, int count) __attribute__((always_inline)) {
        store_some(y + i, add(load_some(y + i, count), load_some(x + i, count)), count);
      });
}

// --- rope ---------------------------------------------------------------------
// Both styles round alike: one product, then one multiply-add.

void rope_half(float* x, const float* cos_sin, int rot) {
  const int half = rot / 2;
  for_vectors(
      half, [&](std::int64_t i, int count) __attribute__((always_inline)) {
        const VecF cos = load_some(cos_sin + i, count), sin = load_some(cos_sin + half + i, count);
        const VecF a = load_some(x + i, count), b = load_some(x + half + i, count);
        store_some(x + i, fnma(b, sin, mul(a, cos)), count);
        store_some(x + half + i, fma(a, sin, mul(b, cos)), count);
      });
}

/// v1 v0 v3 v2 ...
RIDGELINE_INLINE VecF swap_pairs(VecF v) {
#if defined(__AVX512F__)
  return _mm512_permute_ps(v, 0xb1);
#elif defined(__AVX2__)
  return _mm256_permute_ps(v, 0xb1);
#else
  return __builtin_shuffle(v, VecI{1, 0, 3, 2, 5, 4, 7, 6});
#endif
}
/// p0 p0 p1 p1 ..., of the first n floats at p (n <= kLanes / 2).
RIDGELINE_INLINE VecF load_twice(const float* p, int n) {
#if defined(__AVX512F__)
  const VecI index = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  return _mm512_permutexvar_ps(index, load_first(p, n));
#elif defined(__AVX2__)
  const VecI index = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
  return _mm256_permutevar8x32_ps(load_first(p, n), index);
#else
  return __builtin_shuffle(load_first(p, n), VecI{0, 0, 1, 1, 2, 2, 3, 3});
#endif
}

void rope_interleaved(float* x, const float* cos_sin, int rot) {
  const int half = rot / 2;
  // -sin for the first of each pair.
  float signs[kLanes];
  for (int i = 0; i < kLanes; ++i) signs[i] = i % 2 == 0 ? -1.0f : 1.0f;
  const VecF sign = load(signs);
  for_vectors(
      rot, [&](std::int64_t i, int count) __attribute__((always_inline)) {
        const VecF cos = load_twice(cos_sin + i / 2, count / 2);
        const VecF sin = mul(load_twice(cos_sin + half + i / 2, count / 2), sign);
        const VecF v = load_some(x + i, count);
        store_some(x + i, fma(swap_pairs(v), sin, mul(v, cos)), count);
      });
}

inline constexpr ElementwiseKernels kElementwiseKernels = {
    .rms_norm = rms_norm,
    .silu_mul = silu_mul,
    .add = add_rows,
    .rope_interleaved = rope_interleaved,
    .rope_half = rope_half,
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
