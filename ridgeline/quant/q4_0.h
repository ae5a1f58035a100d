#pragma once

#include <cstddef>
#include <cstdint>

namespace ridgeline {

/// 32 elements in 18 bytes, 4.5 bits each: x[i] = d · (q[i] - 8). The levels lie in
/// two halves, element j beside element j + 16.
///
///   byte  0    2                                           18
///         ┌────┬───────────┬───────────┬─────┬────────────┐
///         │ d  │ q16 │ q0  │ q17 │ q1  │ ... │ q31 │ q15  │   d: f16, q: 4 bits,
///         └────┴───────────┴───────────┴─────┴────────────┘   high nibble drawn left
struct BlockQ4_0 {
  static constexpr int kElements = 32;
  std::uint16_t d;
  std::uint8_t qs[kElements / 2];
};
static_assert(sizeof(BlockQ4_0) == 18);

void decode_q4_0(const std::byte* blocks, std::int64_t n, float* out);
void encode_q4_0(const float* in, std::int64_t n, std::byte* blocks);

}  // namespace ridgeline
