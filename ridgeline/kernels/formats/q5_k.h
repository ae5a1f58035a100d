#pragma once

#include "ridgeline/kernels/formats/q4_k.h"
#include "ridgeline/quant/q5_k.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// d, dmin and scales as in Q4_K, then for each pair of sub-blocks two groups of fifth
/// bits and eight of nibbles; 2,816 bytes, the file's size:
///
///   ┌─────────────┬──────────────┬─────────────┬─────────────┬──────────────┬───────┐
///   │ d and dmin  │ 3 groups     │ 64 bytes,   │ 64 bytes,   │ 8 groups qs, │ ... 3 │
///   │             │ scales       │ bits of 2 c │ bits 2 c + 1│ c = 0        │  more │
///   └─────────────┴──────────────┴─────────────┴─────────────┴──────────────┴───────┘
///
/// Of a sub-block's fifth bits, bit g of byte i belongs to element 4 g + i, so that one
/// constant shift brings a k-group's bits into place.
struct Q5_K : Q4_K {
  static constexpr DType kDType = DType::kQ5_K;
  static constexpr int kMaxLevel = 31;
  using File = BlockQ5_K;
  static constexpr std::size_t kChunkBytes = 10 * kGroupBytes;
  static constexpr std::size_t kBlockBytes = kLevelsAt + 4 * kChunkBytes;
  static_assert(kBlockBytes == sizeof(File) * kPanelWidth);
  static_assert(offsetof(File, scales) == offsetof(BlockQ4_K, scales));

  static void pack_block(Rows blocks, std::byte* to) {
    transpose<std::uint16_t>(blocks, 2, to);
    transpose<std::uint32_t>(blocks.at(offsetof(File, scales)), 3, to + kScalesAt);
    for (std::size_t c = 0; c < 4; ++c) {
      std::byte* chunk = to + kLevelsAt + c * kChunkBytes;
      transpose<std::uint32_t>(blocks.at(offsetof(File, qs) + c * 32), 8, chunk + 2 * kGroupBytes);
    }
    std::uint32_t lane[8][kPanelWidth] = {};  // of each sub-block
    for (int r = 0; r < blocks.count; ++r)
      pack_fifth_bits(blocks.row(r) + offsetof(File, qh), lane, r);
    for (std::size_t s = 0; s < 8; ++s)
      std::memcpy(to + kLevelsAt + s / 2 * kChunkBytes + s % 2 * kGroupBytes, lane[s],
                  sizeof lane[s]);
  }
  /// k-group g (0..15) of the chunk.
  template <int g>
  static RIDGELINE_INLINE VecI levels(Chunk chunk, int v) {
    constexpr int bit = g % 8;
    const VecI raw = load_i(chunk.levels + (2 + bit) * kGroupBytes + v * kVecBytes);
    const VecI fifth = load_i(chunk.levels + g / 8 * kGroupBytes + v * kVecBytes);
    const VecI low = bit_and(g < 8 ? raw : shift_right<4>(raw), splat_i(0x0f0f0f0f));
    VecI high = fifth;
    if constexpr (bit < 4)
      high = shift_left<4 - bit>(fifth);
    else if constexpr (bit > 4)
      high = shift_right<bit - 4>(fifth);
    return bit_or(low, bit_and(high, splat_i(0x10101010)));
  }
  static RIDGELINE_INLINE Chunk chunk(const std::byte* block, int c) {
    return {reload(block + kLevelsAt + static_cast<std::size_t>(c) * kChunkBytes)};
  }

 private:
  /// The file has bit s of byte 4 g + i; lane[s] gets it as bit g of byte i.
  static void pack_fifth_bits(const std::byte* qh, std::uint32_t (*lane)[kPanelWidth], int r) {
    for (int i = 0; i < 4; ++i) {
      std::uint64_t rows = 0;
      for (int g = 0; g < 8; ++g) rows |= static_cast<std::uint64_t>(qh[4 * g + i]) << (8 * g);
      const std::uint64_t columns = transpose_bits(rows);
      for (int s = 0; s < 8; ++s)
        lane[s][r] |= static_cast<std::uint32_t>(columns >> (8 * s) & 0xff) << (8 * i);
    }
  }
  /// An 8 × 8 matrix, a byte a row: swaps across the diagonal of blocks of 1, 2 and 4
  /// (Warren, Hacker's Delight, 7-3).
  static std::uint64_t transpose_bits(std::uint64_t m) {
    const auto swap = [&m](std::uint64_t mask, int distance) {
      const std::uint64_t differ = (m ^ m >> distance) & mask;
      m ^= differ ^ differ << distance;
    };
    swap(0x00aa00aa00aa00aa, 7);
    swap(0x0000cccc0000cccc, 14);
    swap(0x00000000f0f0f0f0, 28);
    return m;
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
