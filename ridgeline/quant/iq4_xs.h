#pragma once

#include <cstddef>
#include <cstdint>

namespace ridgeline {

/// 256 elements in 136 bytes, 4.25 bits each, in eight sub-blocks s of 32 elements:
/// x[i] = d · (scale[s] - 32) · value[q[i]], with the values of quant/iq4_codebook.h.
///
///   byte  0    2          4              8                                   136
///         ┌────┬──────────┬──────────────┬───────────┬───────────┬─────┬──────┐
///         │ d  │ scales_h │ scales_l[4]  │ s = 0     │ s = 1     │ ... │ s = 7│
///         └────┴──────────┴──────────────┴───────────┴───────────┴─────┴──────┘
///          f16  2 bits each 4 bits each    16 bytes of codes, as in IQ4_NL
///
/// Bits 2 s and 2 s + 1 of scales_h are the upper ones of scale[s], nibble s of scales_l
/// (low before high) its lower ones.
struct BlockIQ4_XS {
  static constexpr int kElements = 256;
  static constexpr int kSubBlocks = 8;
  std::uint16_t d;
  std::uint16_t scales_h;
  std::uint8_t scales_l[kSubBlocks / 2];
  std::uint8_t qs[kElements / 2];
};
static_assert(sizeof(BlockIQ4_XS) == 136);

/// Scales with their sign, and codes, one byte each.
struct UnpackedIQ4_XS {
  std::int8_t scales[BlockIQ4_XS::kSubBlocks];
  std::uint8_t codes[BlockIQ4_XS::kElements];
};
UnpackedIQ4_XS unpack_iq4_xs(const BlockIQ4_XS& block);
BlockIQ4_XS pack_iq4_xs(const UnpackedIQ4_XS& from, std::uint16_t d);

void decode_iq4_xs(const std::byte* blocks, std::int64_t n, float* out);
void encode_iq4_xs(const float* in, std::int64_t n, std::byte* blocks);

}  // namespace ridgeline
