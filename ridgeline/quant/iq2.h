#pragma once

#include <cstddef>
#include <cstdint>

#include "ridgeline/quant/iq_grids.h"

// IQ2_XXS, IQ2_XS and IQ2_S: 256 elements in groups of eight, whose magnitudes (8, 25 or
// 43) are an entry of a codebook; a 4-bit scale s counts as s + 1/2. Readable only.

namespace ridgeline {

/// 2.0625 bits each: x[i] = d / 8 · (2 scale + 1) · q[i], a scale for 32 elements.
///
///   byte  0    2                                                     66
///         ┌────┬──────────────────┬──────────────────┬──────────────┐
///         │ d  │ elements 0..31   │ 32..63           │ ... 224..255 │
///         └────┴──────────────────┴──────────────────┴──────────────┘
///          f16  four entries (a byte each), then 32 bits: scale « 28 │ seven bits of
///               signs for each entry, the first lowest; the eighth makes their number even
struct BlockIQ2_XXS {
  static constexpr int kElements = 256;
  std::uint16_t d;
  std::uint8_t qs[kElements / 4];
};
static_assert(sizeof(BlockIQ2_XXS) == 66);

/// 2.3125 bits each: x[i] = d / 8 · (2 scale + 1) · q[i], a scale for 16 elements.
///
///   byte  0    2                       66          74
///         ┌────┬──────────────────────┬───────────┐   qs: nine bits of entry, seven of signs
///         │ d  │ qs[32]               │ scales[8] │   as in IQ2_XXS; scales: elements
///         └────┴──────────────────────┴───────────┘   0..15 of 32 in the low nibble
///          f16  16 bits each            4 + 4 bits
struct BlockIQ2_XS {
  static constexpr int kElements = 256;
  std::uint16_t d;
  std::uint16_t qs[kElements / 8];
  std::uint8_t scales[kElements / 32];
};
static_assert(sizeof(BlockIQ2_XS) == 74);

/// 2.5625 bits each: x[i] = d / 8 · (2 scale + 1) · q[i], scales as in IQ2_XS.
///
///   byte  0    2          34           66         74          82
///         ┌────┬──────────┬────────────┬──────────┬───────────┐   qh: the upper two bits
///         │ d  │ qs[32]   │ signs[32]  │ qh[8]    │ scales[8] │   of four entries, the
///         └────┴──────────┴────────────┴──────────┴───────────┘   first lowest
///          f16  entries    a bit each   2 bits each 4 + 4 bits
struct BlockIQ2_S {
  static constexpr int kElements = 256;
  std::uint16_t d;
  std::uint8_t qs[kElements / 8];
  std::uint8_t signs[kElements / 8];
  std::uint8_t qh[kElements / 32];
  std::uint8_t scales[kElements / 32];
};
static_assert(sizeof(BlockIQ2_S) == 82);

void unpack_iq2_xxs(const std::byte* block, iq_grids::Unpacked& to);
void unpack_iq2_xs(const std::byte* block, iq_grids::Unpacked& to);
void unpack_iq2_s(const std::byte* block, iq_grids::Unpacked& to);

void decode_iq2_xxs(const std::byte* blocks, std::int64_t n, float* out);
void decode_iq2_xs(const std::byte* blocks, std::int64_t n, float* out);
void decode_iq2_s(const std::byte* blocks, std::int64_t n, float* out);

}  // namespace ridgeline
