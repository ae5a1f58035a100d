#pragma once

#include <cstddef>
#include <cstdint>

namespace ridgeline {

/// 256 elements in 84 bytes, 2.625 bits each, in sixteen sub-blocks s of 16 elements:
/// x[i] = d · scale[s] · q[i] - dmin · min[s].
///
///   byte  0            16        80   82     84
///         ┌────────────┬─────────┬────┬──────┐
///         │ scales[16] │ qs[64]  │ d  │ dmin │   scales[s] = min[s] « 4 | scale[s]
///         └────────────┴─────────┴────┴──────┘
///          4 + 4 bits   2 bits    f16   f16
///
/// Each half of the block (128 elements, four rows a, b, c, d of 32) has 32 bytes of qs:
///
///   qs[j]   d[j] │ c[j] │ b[j] │ a[j]     highest bits drawn left, j = 0..31
struct BlockQ2_K {
  static constexpr int kElements = 256;
  static constexpr int kSubBlocks = 16;
  std::uint8_t scales[kSubBlocks];
  std::uint8_t qs[kElements / 4];
  std::uint16_t d;
  std::uint16_t dmin;
};
static_assert(sizeof(BlockQ2_K) == 84);

/// One byte each.
void unpack_q2_k_levels(const BlockQ2_K& block, std::uint8_t (&levels)[BlockQ2_K::kElements]);

void decode_q2_k(const std::byte* blocks, std::int64_t n, float* out);
void encode_q2_k(const float* in, std::int64_t n, std::byte* blocks);

}  // namespace ridgeline
