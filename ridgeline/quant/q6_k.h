#pragma once

#include <cstddef>
#include <cstdint>

namespace ridgeline {

/// 256 elements in 210 bytes, 6.5625 bits each, in sixteen sub-blocks of 16 elements:
/// x[i] = d · scales[i / 16] · (q[i] - 32).
///
///   byte  0          128        192          208  210
///         ┌──────────┬──────────┬────────────┬────┐
///         │ ql[128]  │ qh[64]   │ scales[16] │ d  │
///         └──────────┴──────────┴────────────┴────┘
///          low 4 bits upper 2    int8         f16
///
/// Each half of the block (128 elements, four rows a, b, c, d of 32) has 64 bytes of ql
/// and 32 of qh:
///
///   ql[j]       c[j] │ a[j]                   high nibble drawn left, j = 0..31
///   ql[32 + j]  d[j] │ b[j]
///   qh[j]       d[j] │ c[j] │ b[j] │ a[j]     two bits each
struct BlockQ6_K {
  static constexpr int kElements = 256;
  static constexpr int kSubBlocks = 16;
  std::uint8_t ql[kElements / 2];
  std::uint8_t qh[kElements / 4];
  std::int8_t scales[kSubBlocks];
  std::uint16_t d;
};
static_assert(sizeof(BlockQ6_K) == 210);

/// Into ql and qh, from one byte each.
void pack_q6_k_levels(const std::uint8_t* levels, BlockQ6_K& block);

void decode_q6_k(const std::byte* blocks, std::int64_t n, float* out);
void encode_q6_k(const float* in, std::int64_t n, std::byte* blocks);

}  // namespace ridgeline
