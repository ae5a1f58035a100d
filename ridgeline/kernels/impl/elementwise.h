#pragma once

#include "ridgeline/kernels/impl/isa_entry.h"
#include "ridgeline/kernels/impl/nonlinear.h"

// The operations of one row that are no matrix product. Tails are masked, so that an
// element's arithmetic does not depend on where in a vector it falls.

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// The sum of term(v, s), which adds the terms of v to s: four sums of every fourth vector,
/// folded in a tree, whose order is a function of n. In F32 the error stays below
/// (n / (4 kLanes) + 7) 2^-24 of the sum of the terms' sizes. term(0, s) must be s.
template <class Term>
RIDGELINE_INLINE float sum_of(const float* x, std::int64_t n, const Term& term) {
  VecF sum[4] = {zero_f(), zero_f(), zero_f(), zero_f()};
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes)
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sum[v] = term(load(x + i + v * kLanes), sum[v]);
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    const std::int64_t left = n - i - v * kLanes;
    if (left <= 0) break;
    sum[v] = term(load_first(x + i + v * kLanes, left < kLanes ? static_cast<int>(left) : kLanes),
                  sum[v]);
  }
  return reduce_add(add(add(sum[0], sum[1]), add(sum[2], sum[3])));
}
float sum_of_squares(const float* x, std::int64_t n) {
  return sum_of(
      x, n, [](VecF a, VecF sum) __attribute__((always_inline)) { return fma(a, a, sum); });
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
        VecF normed = mul(load_some(x + i, count), scale);
        if (weight != nullptr) normed = mul(normed, load_some(weight + i, count));
        store_some(out + i, normed, count);
      });
}

void layer_norm(const float* x, const float* weight, const float* bias, float eps, std::int64_t n,
                float* out) {
  const float total = sum_of(
      x, n, [](VecF a, VecF sum) __attribute__((always_inline)) { return add(a, sum); });
  const VecF mean = splat(total / static_cast<float>(n));
  for_vectors(
      n, [&](std::int64_t i, int count) __attribute__((always_inline)) {
        store_some(out + i, sub(load_some(x + i, count), mean), count);
      });
  const float variance = sum_of_squares(out, n) / static_cast<float>(n);
  const VecF scale = splat(1.0f / __builtin_sqrtf(variance + eps));
  for_vectors(
      n, [&](std::int64_t i, int count) __attribute__((always_inline)) {
        VecF normed = mul(load_some(out + i, count), scale);
        normed = mul(normed, load_some(weight + i, count));
        if (bias != nullptr) normed = add(normed, load_some(bias + i, count));
        store_some(out + i, normed, count);
      });
}

// --- activations ----------------------------------------------------------------

/// out[i] = f(x[i])
template <class F>
RIDGELINE_INLINE void map(const float* x, std::int64_t n, float* out, const F& f) {
  for_vectors(
      n, [&](std::int64_t i, int count) __attribute__((always_inline)) {
        store_some(out + i, f(load_some(x + i, count)), count);
      });
}
/// out[i] = f(x[i], y[i])
template <class F>
RIDGELINE_INLINE void map(const float* x, const float* y, std::int64_t n, float* out, const F& f) {
  for_vectors(
      n, [&](std::int64_t i, int count) __attribute__((always_inline)) {
        store_some(out + i, f(load_some(x + i, count), load_some(y + i, count)), count);
      });
}

void activate(Activation f, const float* x, std::int64_t n, float* out) {
  switch (f) {
    case Activation::kSilu:
      return map(
          x, n, out, [](VecF v) __attribute__((always_inline)) { return silu(v); });
    case Activation::kGeluTanh:
      return map(
          x, n, out, [](VecF v) __attribute__((always_inline)) { return gelu_tanh(v); });
    case Activation::kGeluErf:
      return map(
          x, n, out, [](VecF v) __attribute__((always_inline)) { return gelu_erf(v); });
    case Activation::kSwigluOai:
      return;  // has two operands
  }
}

void gate_mul(Activation f, const float* gate, const float* up, std::int64_t n, float* out) {
  switch (f) {
    case Activation::kSilu:
      return map(
          gate, up, n, out,
          [](VecF g, VecF u) __attribute__((always_inline)) { return mul(silu(g), u); });
    case Activation::kGeluTanh:
      return map(
          gate, up, n, out,
          [](VecF g, VecF u) __attribute__((always_inline)) { return mul(gelu_tanh(g), u); });
    case Activation::kGeluErf:
      return map(
          gate, up, n, out,
          [](VecF g, VecF u) __attribute__((always_inline)) { return mul(gelu_erf(g), u); });
    case Activation::kSwigluOai:
      return map(
          gate, up, n, out,
          [](VecF g, VecF u) __attribute__((always_inline)) { return swiglu_oai(g, u); });
  }
}

void add_rows(const float* x, std::int64_t n, float* y) {
  map(
      y, x, n, y, [](VecF a, VecF b) __attribute__((always_inline)) { return add(a, b); });
}

void add_scaled(const float* x, float factor, std::int64_t n, float* y) {
  map(
      y, x, n,
      y, [&](VecF a, VecF b) __attribute__((always_inline)) { return fma(b, splat(factor), a); });
}

void scale_row(float factor, std::int64_t n, float* x) {
  map(
      x, n, x, [&](VecF a) __attribute__((always_inline)) { return mul(a, splat(factor)); });
}

void softcap(float cap, std::int64_t n, float* x) {
  const VecF inverse = splat(1.0f / cap);
  map(
      x, n, x, [&](VecF a) __attribute__((always_inline)) {
        return mul(tanh(mul(a, inverse)), splat(cap));
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
    .layer_norm = layer_norm,
    .activate = activate,
    .gate_mul = gate_mul,
    .add = add_rows,
    .add_scaled = add_scaled,
    .scale = scale_row,
    .softcap = softcap,
    .rope_interleaved = rope_interleaved,
    .rope_half = rope_half,
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
