#pragma once

#include <cstddef>
#include <cstdint>

namespace ridgeline {

/// `kGroup` elements, 4 bits each: x[i] = d · (q[i] - zero), as GPTQ and AWQ store them. The
/// levels of each 32 lie as in Q4_0. A zero of GPTQ and AWQ is 0..15; any byte is read.
///
///   byte  0    2      3                        19                  3 + kGroup / 2
///         ┌────┬──────┬───────────┬─────┬────────────┬───────────┬─────┐
///         │ d  │ zero │ q16 │ q0  │ ... │ q31 │ q15  │ q48 │ q32 │ ... │   d: f16, zero: u8,
///         └────┴──────┴───────────┴─────┴────────────┴───────────┴─────┘   q: 4 bits, high
///                                                                          nibble drawn left
template <int kGroup>
struct BlockInt4 {
  static constexpr int kElements = kGroup;
  std::uint8_t d[2];  ///< f16, little-endian: blocks have an odd size
  std::uint8_t zero;
  std::uint8_t qs[kGroup / 2];
};
static_assert(sizeof(BlockInt4<32>) == 19);
static_assert(sizeof(BlockInt4<64>) == 35);
static_assert(sizeof(BlockInt4<128>) == 67);

template <int kGroup>
void decode_int4(const std::byte* blocks, std::int64_t n, float* out);

}  // namespace ridgeline
