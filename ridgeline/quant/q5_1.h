#pragma once

#include <cstddef>
#include <cstdint>

namespace ridgeline {

/// 32 elements in 24 bytes, 6 bits each: x[i] = d · q[i] + m. The low four bits of the
/// levels lie as in Q4_0; bit i of qh is the fifth bit of element i.
///
///   byte  0    2    4          8                                           24
///         ┌────┬────┬──────────┬───────────┬───────────┬─────┬────────────┐
///         │ d  │ m  │ qh       │ q16 │ q0  │ q17 │ q1  │ ... │ q31 │ q15  │
///         └────┴────┴──────────┴───────────┴───────────┴─────┴────────────┘
///          f16  f16  32 bits    high nibble drawn left
struct BlockQ5_1 {
  static constexpr int kElements = 32;
  std::uint16_t d;
  std::uint16_t m;
  std::uint8_t qh[4];  ///< a little-endian uint32
  std::uint8_t qs[kElements / 2];
};
static_assert(sizeof(BlockQ5_1) == 24);

void decode_q5_1(const std::byte* blocks, std::int64_t n, float* out);
void encode_q5_1(const float* in, std::int64_t n, std::byte* blocks);

}  // namespace ridgeline
