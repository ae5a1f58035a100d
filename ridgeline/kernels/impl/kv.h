#pragma once

#include "ridgeline/kernels/impl/isa_entry.h"
#include "ridgeline/kernels/impl/kv_rows.h"

// Writing a token's K and V row of one head into its slot of a block: the layouts are
// drawn in kv_rows.h. Conversions round to nearest even. The padding of head_dim is
// written with every token, because a block holds what its former owner left.
//
// Q8_0 rounds as the file format's encoder does (quant/q8_0.h): a block of 32 along
// head_dim, the last one filled up with zeros, decodes to exactly what the file's would.

namespace ridgeline::RIDGELINE_ISA {
namespace {

template <DType dtype>
std::size_t head_block_bytes(int head_dim) {
  return static_cast<std::size_t>(padded_head_dim(head_dim)) * kKvBlockTokens *
         KvRows<dtype>::kBytes;
}

/// kLanes elements from d on, zero from head_dim on, in the cache's type.
template <DType dtype>
RIDGELINE_INLINE void encode(const float* row, int d, int head_dim, void* out) {
  const VecF v = d < head_dim ? load_first(row + d, head_dim - d) : zero_f();
  if constexpr (dtype == DType::kF16) {
    store_f16(out, v);
  } else if constexpr (dtype == DType::kBF16) {
    store_bf16(out, v);
  } else {
    store(static_cast<float*>(out), v);
  }
}

template <DType dtype>
void store_k(const float* k, int head_dim, int slot, std::byte* block) {
  // What neighbours in a row of the block: one element, or a pair of BF16.
  constexpr int kUnit = KvRows<dtype>::kTokenBytes;
  constexpr int kUnits = kLanes * KvRows<dtype>::kBytes / kUnit;
  std::byte* out = block + slot * kUnit;
  for (int d = 0; d < padded_head_dim(head_dim); d += kLanes) {
    std::byte encoded[kLanes * KvRows<dtype>::kBytes];
    encode<dtype>(k, d, head_dim, encoded);
    for (int i = 0; i < kUnits; ++i, out += kKvBlockTokens * kUnit)
      __builtin_memcpy(out, encoded + i * kUnit, kUnit);
  }
}

template <DType dtype>
void store_v(const float* v, int head_dim, int slot, std::byte* block) {
  const int padded_dim = padded_head_dim(head_dim);
  std::byte* row = block + static_cast<std::ptrdiff_t>(slot) * padded_dim * KvRows<dtype>::kBytes;
  for (int d = 0; d < padded_dim; d += kLanes)
    encode<dtype>(v, d, head_dim, row + d * KvRows<dtype>::kBytes);
}

// --- Q8_0 ----------------------------------------------------------------------

using Q8 = KvRows<DType::kQ8_0>;

template <>
std::size_t head_block_bytes<DType::kQ8_0>(int head_dim) {
  const int padded_dim = padded_head_dim(head_dim);
  return static_cast<std::size_t>(Q8::scale_bytes(padded_dim) + padded_dim * kKvBlockTokens);
}

/// Q8::kScaleDims elements from d on, zero from head_dim on: their levels + 128, and their
/// scale as F16.
struct QuantizedRow {
  std::uint8_t levels[Q8::kScaleDims];
  std::byte scale[Q8::kScaleBytes];
};
RIDGELINE_INLINE QuantizedRow quantize(const float* row, int d, int head_dim) {
  float x[Q8::kScaleDims];
  VecI greatest = zero_i();  // as integers, in which NaN is above all
  for (int i = 0; i < Q8::kScaleDims; i += kLanes) {
    const VecF v = d + i < head_dim ? load_first(row + d + i, head_dim - d - i) : zero_f();
    store(x + i, v);
    greatest = max(greatest, bits(abs(v)));
  }
  const std::int32_t greatest_bits = reduce_max(greatest);
  float scale;
  __builtin_memcpy(&scale, &greatest_bits, sizeof scale);
  scale /= 127.0f;
  const float exact_inverse = 1.0f / scale;
  const float inverse = __builtin_isfinite(exact_inverse) ? exact_inverse : 0.0f;
  QuantizedRow q;
  for (int i = 0; i < Q8::kScaleDims; ++i) {
    const float v = x[i] * inverse;
    const float low = v > -127.0f ? v : -127.0f;
    const float level = low < 127.0f ? low : 127.0f;
    const int whole = static_cast<int>(level);
    const float rest = level - static_cast<float>(whole);
    q.levels[i] =
        static_cast<std::uint8_t>(128 + whole + (rest >= 0.5f ? 1 : 0) - (rest <= -0.5f ? 1 : 0));
  }
  std::byte halves[2 * kLanes];
  store_f16(halves, splat(scale));
  __builtin_memcpy(q.scale, halves, sizeof q.scale);
  return q;
}

template <>
void store_k<DType::kQ8_0>(const float* k, int head_dim, int slot, std::byte* block) {
  const int padded_dim = padded_head_dim(head_dim);
  std::byte* levels = block + Q8::scale_bytes(padded_dim) + slot * Q8::kDot;
  std::byte* scale = block + slot * Q8::kScaleBytes;
  for (int d = 0; d < padded_dim; d += Q8::kScaleDims, scale += Q8::kScaleRowBytes) {
    const QuantizedRow row = quantize(k, d, head_dim);
    __builtin_memcpy(scale, row.scale, sizeof row.scale);
    const int dims = padded_dim - d < Q8::kScaleDims ? padded_dim - d : Q8::kScaleDims;
    for (int i = 0; i < dims; i += Q8::kDot, levels += Q8::kLineBytes)
      __builtin_memcpy(levels, row.levels + i, Q8::kDot);
  }
}

template <>
void store_v<DType::kQ8_0>(const float* v, int head_dim, int slot, std::byte* block) {
  const int padded_dim = padded_head_dim(head_dim);
  std::byte* levels = block + Q8::scale_bytes(padded_dim) +
                      slot / Q8::kDot * padded_dim * Q8::kDot + slot % Q8::kDot;
  std::byte* scale = block + slot * Q8::kScaleBytes;
  for (int d = 0; d < padded_dim; d += Q8::kScaleDims, scale += Q8::kScaleRowBytes) {
    const QuantizedRow row = quantize(v, d, head_dim);
    __builtin_memcpy(scale, row.scale, sizeof row.scale);
    const int dims = padded_dim - d < Q8::kScaleDims ? padded_dim - d : Q8::kScaleDims;
    for (int i = 0; i < dims; ++i, levels += Q8::kDot)
      *levels = static_cast<std::byte>(row.levels[i]);
  }
}

template <DType type>
inline constexpr KvKernel kKvKernel = {
    .dtype = type,
    .head_block_bytes = head_block_bytes<type>,
    .store_k = store_k<type>,
    .store_v = store_v<type>,
};

inline constexpr KvKernel kKvKernelList[] = {
    kKvKernel<DType::kF16>,
    kKvKernel<DType::kBF16>,
    kKvKernel<DType::kF32>,
    kKvKernel<DType::kQ8_0>,
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
