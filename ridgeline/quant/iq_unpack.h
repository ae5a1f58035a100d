#pragma once

#include <bit>
#include <cstring>

#include "ridgeline/quant/iq_grids.h"

// What the decoders of the IQ2 and IQ3 types share.
namespace ridgeline::iq_grids {

/// Seven bits of signs and the eighth, which makes the number of minus signs even.
inline int eight_signs(std::uint32_t seven) {
  seven &= 127;
  return static_cast<int>(seven | (std::popcount(seven) & 1u) << 7);
}

/// The codes of `n` elements: an entry of a codebook with `bits` for each digit.
inline void put(std::uint8_t* codes, int n, int bits, int entry, int signs) {
  for (int i = 0; i < n; ++i) {
    const int digit = entry >> (bits * i) & ((1 << bits) - 1);
    codes[i] = static_cast<std::uint8_t>(digit | (signs >> i & 1) << 3);
  }
}
inline std::int8_t scale_from(int four_bits) {
  return static_cast<std::int8_t>(2 * (four_bits & 15) + 1);
}

/// Exact: 11 + 5 + 6 significant bits.
template <int kBlockBytes, int kSubElements, void (*unpack)(const std::byte*, Unpacked&)>
void decode(const std::uint8_t* magnitudes, const std::byte* blocks, std::int64_t n, float* out) {
  Unpacked block;
  for (std::int64_t i = 0; i < n; i += 256) {
    unpack(blocks, block);
    blocks += kBlockBytes;
    for (int j = 0; j < 256; ++j) {
      const float magnitude = static_cast<float>(magnitudes[block.codes[j] & 7]);
      const float scale = block.d * static_cast<float>(block.scales[j / kSubElements]);
      out[i + j] = scale * (block.codes[j] & 8 ? -magnitude : magnitude);
    }
  }
}

}  // namespace ridgeline::iq_grids
