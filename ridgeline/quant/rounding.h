#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

// Arithmetic that several encoders share. Each formula, its order of operations and
// its rounding are those of ggml's reference quantizers (ggml-quants.c), so that the
// same numbers give the same bytes as a file made by the usual tools. Encoders expect
// finite input; anything else gives some valid block, never undefined behaviour.
namespace ridgeline::rounding {

/// The element of greatest magnitude with its sign, the first one among equals.
/// Magnitudes compare as integers, which vectorizes where floats would not.
inline float signed_absmax(const float* x, int n) {
  std::int32_t greatest = 0;
  for (int i = 0; i < n; ++i) {
    const std::int32_t magnitude = std::bit_cast<std::int32_t>(x[i]) & 0x7fffffff;
    greatest = magnitude > greatest ? magnitude : greatest;
  }
  for (int i = 0; i < n; ++i)
    if ((std::bit_cast<std::int32_t>(x[i]) & 0x7fffffff) == greatest) return x[i];
  return 0.0f;
}

/// 1/d, or 0 where d is zero or so small that f16 stores it as zero anyway.
inline float reciprocal(float d) {
  const float inverse = 1.0f / d;
  return std::isfinite(inverse) ? inverse : 0.0f;
}

/// Nearest integer with ties to even, for |v| <= 2^22: adding 1.5·2^23 leaves the
/// integer in the low bits. Beyond that range some integer comes out, as in ggml.
inline int round_half_even(float v) {
  const std::int32_t bits = std::bit_cast<std::int32_t>(v + 12582912.0f);
  return (bits & 0x007fffff) - 0x00400000;
}

inline int clamp(int value, int low, int high) {
  return value < low ? low : (value > high ? high : value);
}

}  // namespace ridgeline::rounding
