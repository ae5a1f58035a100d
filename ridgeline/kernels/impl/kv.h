#pragma once

#include "ridgeline/kernels/impl/isa_entry.h"
#include "ridgeline/kernels/impl/kv_rows.h"

// Writing a token's K and V row of one head into its slot of a block: the layouts are
// drawn in kv_rows.h. Conversions round to nearest even. The padding of head_dim is
// written with every token, because a block holds what its former owner left.
//
// Q8_0, when it comes, pairs what the integer dot products pair: K is
// [head_dim/4][16 tokens][4] bytes, V [16 tokens][head_dim], and a scale per token and
// min(32, head_dim) elements follows each, so that a row is quantized once, here.

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
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
