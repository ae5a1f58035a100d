#pragma once

#include "ridgeline/kernels/impl/simd.h"
#include "ridgeline/kernels/kernel_table.h"

// Reading a block of the KV cache in vectors, per element type. Layouts (KvKernel in
// kernel_table.h), d along head_dim, t the token's slot:
//
//   K, F32 and F16   d = 0 | t0 t1 ... t15 |         V   t = 0 | d0 d1 d2 ...
//                    d = 1 | t0 t1 ... t15 |             t = 1 | d0 d1 d2 ...
//   K, BF16          d = 0, 1 | t0.d0 t0.d1 t1.d0 t1.d1 ... t15.d1 |
//
//   Q8_0, per 32 d of K or V an F16 scale for each token, in whole cache lines, then
//   d = 0 .. 31 | s.t0 s.t1 ... s.t15 |            levels, bytes:
//   K, d = 0 .. 3    | t0.d0 t0.d1 t0.d2 t0.d3 t1.d0 ... t15.d3 |
//   V, t = 0 .. 3    | d0.t0 d0.t1 d0.t2 d0.t3 d1.t0 ... |
//
// so that a vector of K is the same d of kLanes tokens, whatever the type, and a dword of
// Q8_0 holds four elements of the sum that K or V goes into, as byte dot products want it.
// Levels are stored + 128.

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// head_dim is padded with zeros to this, in every ISA.
inline constexpr int kHeadDimMultiple = 16;
RIDGELINE_INLINE constexpr int padded_head_dim(int head_dim) {
  return (head_dim + kHeadDimMultiple - 1) / kHeadDimMultiple * kHeadDimMultiple;
}

template <DType dtype>
struct KvRows;

template <>
struct KvRows<DType::kF32> {
  static constexpr bool kQuantized = false;
  static constexpr int kBytes = 4;       ///< per element
  static constexpr int kTokenBytes = 4;  ///< from token to token of K
  /// Row d (kOdd = 0) or d + 1 (kOdd = 1) of K; p is in row d, which is even.
  template <int kOdd>
  RIDGELINE_INLINE static VecF k_row(const std::byte* p) {
    return load(reinterpret_cast<const float*>(p + kOdd * kKvBlockTokens * kBytes));
  }
  RIDGELINE_INLINE static VecF v_row(const std::byte* p) {
    return load(reinterpret_cast<const float*>(p));
  }
};

template <>
struct KvRows<DType::kF16> {
  static constexpr bool kQuantized = false;
  static constexpr int kBytes = 2;
  static constexpr int kTokenBytes = 2;
  template <int kOdd>
  RIDGELINE_INLINE static VecF k_row(const std::byte* p) {
    return load_f16(p + kOdd * kKvBlockTokens * kBytes);
  }
  RIDGELINE_INLINE static VecF v_row(const std::byte* p) { return load_f16(p); }
};

template <>
struct KvRows<DType::kBF16> {
  static constexpr bool kQuantized = false;
  static constexpr int kBytes = 2;
  static constexpr int kTokenBytes = 4;
  template <int kOdd>
  RIDGELINE_INLINE static VecF k_row(const std::byte* p) {
    const VecI pair = load_i(p);
    return from_bits(kOdd ? bit_and(pair, splat_i(INT32_MIN >> 15)) : shift_left<16>(pair));
  }
  RIDGELINE_INLINE static VecF v_row(const std::byte* p) { return load_bf16(p); }
};

template <>
struct KvRows<DType::kQ8_0> {
  static constexpr bool kQuantized = true;
  static constexpr int kBytes = 1;
  static constexpr int kScaleDims = 32;  ///< that share a scale
  static constexpr int kScaleBytes = 2;
  static constexpr int kScaleRowBytes = 32;  ///< from scales to scales of the next 32 d
  static constexpr int kDot = 4;             ///< levels in a dword
  static constexpr int kLineBytes = 64;      ///< from dwords to dwords of K's next four d

  /// Bytes of the scales, which come before the levels.
  RIDGELINE_INLINE static constexpr std::ptrdiff_t scale_bytes(int padded_dim) {
    return (padded_dim + 2 * kScaleDims - 1) / (2 * kScaleDims) * (2 * kScaleRowBytes);
  }
  /// What makes floats of levels: level * scale is exact, and so is 128 * scale.
  struct Scale {
    VecF scale, offset;
  };
  RIDGELINE_INLINE static Scale scale_of(VecF scale) { return {scale, mul(scale, splat(-128.0f))}; }
  /// Element i of each dword.
  template <int i>
  RIDGELINE_INLINE static VecF decode(VecI levels, const Scale& s) {
    VecI level = i > 0 ? shift_right<8 * i>(levels) : levels;
    if constexpr (i < kDot - 1) level = bit_and(level, splat_i(0xff));
    return fma(to_float(level), s.scale, s.offset);
  }
};
static_assert(KvRows<DType::kQ8_0>::kScaleRowBytes ==
              KvRows<DType::kQ8_0>::kScaleBytes * kKvBlockTokens);
static_assert(KvRows<DType::kQ8_0>::kLineBytes == KvRows<DType::kQ8_0>::kDot * kKvBlockTokens);

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
