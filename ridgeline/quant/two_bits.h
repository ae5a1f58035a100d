#pragma once

#include <cstdint>

// The two-bit fields of Q2_K and Q3_K: of each half of a block (128 elements, four rows
// of 32), byte j holds element j of all four rows, the first in the lowest bits.
namespace ridgeline::two_bits {

/// 256 values 0..3, one byte each.
inline void unpack(const std::uint8_t* qs, std::uint8_t* values) {
  for (int half = 0; half < 2; ++half)
    for (int row = 0; row < 4; ++row)
      for (int j = 0; j < 32; ++j)
        values[half * 128 + row * 32 + j] = qs[half * 32 + j] >> (2 * row) & 3;
}
inline void pack(const std::uint8_t* values, std::uint8_t* qs) {
  for (int half = 0; half < 2; ++half)
    for (int j = 0; j < 32; ++j) {
      const std::uint8_t* v = values + half * 128 + j;
      qs[half * 32 + j] = static_cast<std::uint8_t>(v[0] | v[32] << 2 | v[64] << 4 | v[96] << 6);
    }
}

}  // namespace ridgeline::two_bits
