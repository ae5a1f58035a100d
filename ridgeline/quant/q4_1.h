#pragma once

#include <cstddef>
#include <cstdint>

namespace ridgeline {

/// 32 elements in 20 bytes, 5 bits each: x[i] = d · q[i] + m. The levels lie as in Q4_0.
///
///   byte  0    2    4                                           20
///         ┌────┬────┬───────────┬───────────┬─────┬────────────┐
///         │ d  │ m  │ q16 │ q0  │ q17 │ q1  │ ... │ q31 │ q15  │   d, m: f16, q: 4 bits,
///         └────┴────┴───────────┴───────────┴─────┴────────────┘   high nibble drawn left
struct BlockQ4_1 {
  static constexpr int kElements = 32;
  std::uint16_t d;
  std::uint16_t m;
  std::uint8_t qs[kElements / 2];
};
static_assert(sizeof(BlockQ4_1) == 20);

void decode_q4_1(const std::byte* blocks, std::int64_t n, float* out);
void encode_q4_1(const float* in, std::int64_t n, std::byte* blocks);

}  // namespace ridgeline
