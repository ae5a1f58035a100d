#pragma once

#include "ridgeline/kernels/impl/panel.h"

// Packed activations: a tile is cut into sub-tiles of kInterleave rows (the last one
// fewer), each with all of k. Inside a sub-tile rows are interleaved, so that a kernel
// reads memory in order; "× rows" means: of its row 0, of its row 1, ...
//
//   F32      per element of k (padded to 32)    F32 × rows
//   BF16     per two elements (padded to 32)    2 BF16 × rows
//   Q8x32    per block of 32       8 dwords of 4 int8, each × rows
//                                  -(sum of the block)  int32 × rows
//                                  scale                F32 × rows
//   Q8x256   per block of 256      64 dwords of 4 int8, each × rows
//                                  -32 (sum of 16) int32, 16 of them, each × rows
//                                  sums of 32 as int16 pairs, 4 dwords, each × rows:
//                                      (0,2) (1,3) (4,6) (5,7)
//                                  sums of 16 likewise, 8 dwords, each × rows
//                                  scale                F32 × rows
//   Int8Row  scale F32 × rows, then
//            per block of 256      64 dwords of 4 int8, each × rows
//                                  -128 (sum of the block)  int32 × rows
//   Int8RowOutliers: the same, with, at the end of each block,
//                                  outliers in blocks before  uint32 × rows
//                                  outliers in this one       uint32 × rows
//            and behind all blocks, a list for each row with room for all of k
//                                  values of outliers   F32[k to 4] × rows
//                                  places in the block  uint8[k to 4] × rows
//
// q = x · 127 / max|x|, to nearest, ties to even; scale = max|x| / 127. A block whose
// absolute maximum is below 1e-30 is zero: 127 over it would overflow. NaN or an
// infinity anywhere in a block makes its scale NaN, and so the row's results.
//
// Of Int8Row a row is one such block, the last 256 filled with zeros. An outlier is what
// is not below 6 in magnitude, NaN included: it is zero among the int8 and has no part
// in the scale.

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// As many rows as the sums of one panel leave registers for.
inline constexpr int kInterleave = kPortable ? 1 : kLanes == 16 ? kMaxTileRows : 4;

inline constexpr int kQ8x32Dwords = 8;
inline constexpr std::size_t kQ8x32RowBytes = 40;  ///< one row's share of a block

inline constexpr int kQ8x256Dwords = 64;
inline constexpr int kQ8x256Zero = 32;    ///< level that means 0, where sums start from it
inline constexpr int kQ8x256Sums16 = 64;  ///< in dwords × rows, from the block's begin
inline constexpr int kQ8x256Pairs32 = 80;
inline constexpr int kQ8x256Pairs16 = 84;
inline constexpr int kQ8x256Scale = 92;
inline constexpr std::size_t kQ8x256RowBytes = 93 * 4;

inline constexpr int kInt8Block = 256;
inline constexpr int kInt8Dwords = 64;
inline constexpr int kInt8Correction = 64;  ///< in dwords × rows, from the block's begin
inline constexpr int kInt8FirstOutlier = 65;
inline constexpr int kInt8Outliers = 66;
inline constexpr float kOutlierThreshold = 6.0f;  ///< Dettmers et al. 2022, section 3.2
inline constexpr std::size_t int8_block_bytes(bool with_outliers) {
  return with_outliers ? 67 * 4 : 65 * 4;
}
/// One row's share of the scales and blocks.
inline std::size_t int8_blocks_bytes(bool with_outliers, std::int64_t k) {
  return 4 + static_cast<std::size_t>((k + kInt8Block - 1) / kInt8Block) *
                 int8_block_bytes(with_outliers);
}
inline std::size_t int8_outliers_max(std::int64_t k) {
  return static_cast<std::size_t>((k + 3) / 4 * 4);
}

/// One row's share of a tile.
inline std::size_t tile_row_bytes(ActivationFormat format, std::int64_t k) {
  const auto padded = static_cast<std::size_t>((k + 31) / 32 * 32);
  switch (format) {
    case ActivationFormat::kQ8x32:
      return padded / 32 * kQ8x32RowBytes;
    case ActivationFormat::kQ8x256:
      return padded / 256 * kQ8x256RowBytes;
    case ActivationFormat::kInt8Row:
      return int8_blocks_bytes(false, k);
    case ActivationFormat::kInt8RowOutliers:
      return int8_blocks_bytes(true, k) + int8_outliers_max(k) * 5;
    case ActivationFormat::kBF16:
      return padded * 2;
    case ActivationFormat::kF32:
      break;
  }
  return padded * 4;
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
