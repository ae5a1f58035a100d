#pragma once

#include <cstddef>
#include <cstdint>

#include "ridgeline/quant/iq_grids.h"

// IQ3_XXS and IQ3_S: 256 elements in groups of four, whose magnitudes (eight values) are
// an entry of a codebook; a scale for 32 elements. Readable only.

namespace ridgeline {

/// 3.0625 bits each: x[i] = d / 4 · (2 scale + 1) · q[i].
///
///   byte  0    2                    66                          98
///         ┌────┬────────────────────┬──────────────────────────┐   a word of 32 bits: scale
///         │ d  │ qs[64]             │ eight words              │   « 28 │ seven bits of signs
///         └────┴────────────────────┴──────────────────────────┘   for each eight elements,
///          f16  entries, a byte each  of 32 elements each          as in IQ2_XXS
struct BlockIQ3_XXS {
  static constexpr int kElements = 256;
  std::uint16_t d;
  std::uint8_t qs[kElements / 4];
  std::uint8_t words[kElements / 8];
};
static_assert(sizeof(BlockIQ3_XXS) == 98);

/// 3.4375 bits each: x[i] = d · (2 scale + 1) · q[i].
///
///   byte  0    2          66         74           106         110
///         ┌────┬──────────┬──────────┬────────────┬───────────┐   qh: the ninth bits of
///         │ d  │ qs[64]   │ qh[8]    │ signs[32]  │ scales[4] │   eight entries; scales:
///         └────┴──────────┴──────────┴────────────┴───────────┘   the first in the low
///          f16  entries    a bit each  a bit each   4 + 4 bits     nibble
struct BlockIQ3_S {
  static constexpr int kElements = 256;
  std::uint16_t d;
  std::uint8_t qs[kElements / 4];
  std::uint8_t qh[kElements / 32];
  std::uint8_t signs[kElements / 8];
  std::uint8_t scales[kElements / 64];
};
static_assert(sizeof(BlockIQ3_S) == 110);

void unpack_iq3_xxs(const std::byte* block, iq_grids::Unpacked& to);
void unpack_iq3_s(const std::byte* block, iq_grids::Unpacked& to);

void decode_iq3_xxs(const std::byte* blocks, std::int64_t n, float* out);
void decode_iq3_s(const std::byte* blocks, std::int64_t n, float* out);

}  // namespace ridgeline
