#pragma once

#include <cstddef>
#include <cstdint>

namespace ridgeline {

/// 32 elements in 18 bytes, 4.5 bits each: x[i] = d · value[q[i]], with the values of
/// quant/iq4_codebook.h. The codes q lie as the levels of Q4_0.
///
///   byte  0    2                                           18
///         ┌────┬───────────┬───────────┬─────┬────────────┐
///         │ d  │ q16 │ q0  │ q17 │ q1  │ ... │ q31 │ q15  │   d: f16, q: 4 bits,
///         └────┴───────────┴───────────┴─────┴────────────┘   high nibble drawn left
struct BlockIQ4_NL {
  static constexpr int kElements = 32;
  std::uint16_t d;
  std::uint8_t qs[kElements / 2];
};
static_assert(sizeof(BlockIQ4_NL) == 18);

void decode_iq4_nl(const std::byte* blocks, std::int64_t n, float* out);
void encode_iq4_nl(const float* in, std::int64_t n, std::byte* blocks);

}  // namespace ridgeline
