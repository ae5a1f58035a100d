#pragma once

#include <cstddef>
#include <cstdint>

#include "ridgeline/quant/k_affine.h"

namespace ridgeline {

/// 256 elements in 144 bytes, 4.5 bits each, in eight sub-blocks s of 32 elements:
/// x[i] = d · scale[s] · q[i] - dmin · min[s]; scales as quant/k_affine.h packs them.
///
///   byte  0    2      4             16                                144
///         ┌────┬──────┬─────────────┬─────────┬─────────┬──────┬───────┐
///         │ d  │ dmin │ scales[12]  │ s=1│s=0 │ s=3│s=2 │ ...  │s=7│s=6│   32 bytes per pair
///         └────┴──────┴─────────────┴─────────┴─────────┴──────┴───────┘   of sub-blocks
///          f16   f16                  high nibble drawn left
struct BlockQ4_K {
  static constexpr int kElements = k_affine::kElements;
  std::uint16_t d;
  std::uint16_t dmin;
  k_affine::PackedScales scales;
  std::uint8_t qs[kElements / 2];
};
static_assert(sizeof(BlockQ4_K) == 144);

BlockQ4_K pack_q4_k(const k_affine::Encoded& from);

void decode_q4_k(const std::byte* blocks, std::int64_t n, float* out);
void encode_q4_k(const float* in, std::int64_t n, std::byte* blocks);

}  // namespace ridgeline
