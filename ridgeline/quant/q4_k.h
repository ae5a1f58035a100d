#pragma once

#include <cstddef>
#include <cstdint>

namespace ridgeline {

/// 256 elements in 144 bytes, 4.5 bits each, in eight sub-blocks s of 32 elements:
/// x[i] = d · scale[s] · q[i] - dmin · min[s].
///
///   byte  0    2      4             16                                144
///         ┌────┬──────┬─────────────┬─────────┬─────────┬──────┬───────┐
///         │ d  │ dmin │ scales[12]  │ s=1│s=0 │ s=3│s=2 │ ...  │s=7│s=6│   32 bytes per pair
///         └────┴──────┴─────────────┴─────────┴─────────┴──────┴───────┘   of sub-blocks
///          f16   f16                  high nibble drawn left
///
/// scales holds eight 6-bit scales and eight 6-bit mins; the upper two bits of the last
/// four of each sit on top of the first four (j = 0..3):
///
///                    bits 7 6           bits 5 4 3 2 1 0
///   scales[j]        scale[4+j] » 4     scale[j]
///   scales[4 + j]    min[4+j] » 4       min[j]
///
///                    bits 7 6 5 4       bits 3 2 1 0
///   scales[8 + j]    min[4+j] & 15      scale[4+j] & 15
struct BlockQ4_K {
  static constexpr int kElements = 256;
  static constexpr int kSubBlocks = 8;
  std::uint16_t d;
  std::uint16_t dmin;
  std::uint8_t scales[12];
  std::uint8_t qs[kElements / 2];
};
static_assert(sizeof(BlockQ4_K) == 144);

/// The 6-bit scales and mins of a block, one byte each.
struct ScalesQ4_K {
  std::uint8_t scale[BlockQ4_K::kSubBlocks];
  std::uint8_t min[BlockQ4_K::kSubBlocks];
};
ScalesQ4_K unpack_scales(const BlockQ4_K& block);

void decode_q4_k(const std::byte* blocks, std::int64_t n, float* out);
void encode_q4_k(const float* in, std::int64_t n, std::byte* blocks);

}  // namespace ridgeline
