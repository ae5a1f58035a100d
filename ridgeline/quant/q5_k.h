#pragma once

#include <cstddef>
#include <cstdint>

#include "ridgeline/quant/k_affine.h"

namespace ridgeline {

/// 256 elements in 176 bytes, 5.5 bits each, in eight sub-blocks s of 32 elements:
/// x[i] = d · scale[s] · q[i] - dmin · min[s]; scales as quant/k_affine.h packs them.
///
///   byte  0    2      4             16       48                                176
///         ┌────┬──────┬─────────────┬────────┬─────────┬─────────┬──────┬───────┐
///         │ d  │ dmin │ scales[12]  │ qh[32] │ s=1│s=0 │ s=3│s=2 │ ...  │s=7│s=6│
///         └────┴──────┴─────────────┴────────┴─────────┴─────────┴──────┴───────┘
///          f16   f16                 fifth    low four bits, 32 bytes per pair of
///                                    bits     sub-blocks, high nibble drawn left
///
/// Bit s of qh[j] is the fifth bit of element j of sub-block s.
struct BlockQ5_K {
  static constexpr int kElements = k_affine::kElements;
  std::uint16_t d;
  std::uint16_t dmin;
  k_affine::PackedScales scales;
  std::uint8_t qh[kElements / 8];
  std::uint8_t qs[kElements / 2];
};
static_assert(sizeof(BlockQ5_K) == 176);

BlockQ5_K pack_q5_k(const k_affine::Encoded& from);

void decode_q5_k(const std::byte* blocks, std::int64_t n, float* out);
void encode_q5_k(const float* in, std::int64_t n, std::byte* blocks);

}  // namespace ridgeline
