#pragma once

#include <cstddef>
#include <cstdint>

namespace ridgeline {

/// 256 elements in 110 bytes, 3.4375 bits each, in sixteen sub-blocks of 16 elements:
/// x[i] = d · (scale[i / 16] - 32) · (q[i] - 4).
///
///   byte  0          32        96           108  110
///         ┌──────────┬─────────┬────────────┬────┐
///         │ hmask[32]│ qs[64]  │ scales[12] │ d  │
///         └──────────┴─────────┴────────────┴────┘
///          third bits low 2 bits 6 bits each  f16
///
/// The low bits of q lie as in Q2_K; bit i / 32 of hmask[i % 32] is the third bit of
/// element i. Scales, for s = 0..7 and j = 0..3:
///
///                    bits 7 6         5 4               3 2 1 0
///   scales[s]        scale[8 + s] & 15                  scale[s] & 15
///   scales[8 + j]    scale[12 + j] » 4, scale[8 + j] » 4, scale[4 + j] » 4, scale[j] » 4
struct BlockQ3_K {
  static constexpr int kElements = 256;
  static constexpr int kSubBlocks = 16;
  std::uint8_t hmask[kElements / 8];
  std::uint8_t qs[kElements / 4];
  std::uint8_t scales[12];
  std::uint16_t d;
};
static_assert(sizeof(BlockQ3_K) == 110);

/// Scales with their sign, and levels 0..7, one byte each.
struct UnpackedQ3_K {
  std::int8_t scales[BlockQ3_K::kSubBlocks];
  std::uint8_t levels[BlockQ3_K::kElements];
};
UnpackedQ3_K unpack_q3_k(const BlockQ3_K& block);
BlockQ3_K pack_q3_k(const UnpackedQ3_K& from, std::uint16_t d);

void decode_q3_k(const std::byte* blocks, std::int64_t n, float* out);
void encode_q3_k(const float* in, std::int64_t n, std::byte* blocks);

}  // namespace ridgeline
