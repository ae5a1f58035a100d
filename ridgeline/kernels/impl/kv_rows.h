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
// so that a vector of K is the same d of kLanes tokens, whatever the type.

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
  static constexpr int kBytes = 2;
  static constexpr int kTokenBytes = 4;
  template <int kOdd>
  RIDGELINE_INLINE static VecF k_row(const std::byte* p) {
    const VecI pair = load_i(p);
    return from_bits(kOdd ? bit_and(pair, splat_i(INT32_MIN >> 15)) : shift_left<16>(pair));
  }
  RIDGELINE_INLINE static VecF v_row(const std::byte* p) { return load_bf16(p); }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
