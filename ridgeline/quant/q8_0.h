#pragma once

#include <cstddef>
#include <cstdint>

namespace ridgeline {

/// 32 elements in 34 bytes, 8.5 bits each: x[i] = d · qs[i].
///
///   byte  0    2                              34
///         ┌────┬──────┬──────┬─────┬──────────┐
///         │ d  │qs[0] │qs[1] │ ... │  qs[31]  │   d: f16, qs: int8 in [-127, 127]
///         └────┴──────┴──────┴─────┴──────────┘
struct BlockQ8_0 {
  static constexpr int kElements = 32;
  std::uint16_t d;
  std::int8_t qs[kElements];
};
static_assert(sizeof(BlockQ8_0) == 34);

void decode_q8_0(const std::byte* blocks, std::int64_t n, float* out);
void encode_q8_0(const float* in, std::int64_t n, std::byte* blocks);

}  // namespace ridgeline
