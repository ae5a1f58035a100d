#pragma once

#include "ridgeline/kernels/impl/panel.h"

// Packed activations: a tile of `rows` rows, interleaved so that a kernel reads
// memory in order. "× rows" means: of row 0, of row 1, ...
//
//   F32      per element of k (padded to 32)    F32 × rows
//   BF16     per two elements (padded to 32)    2 BF16 × rows
//   Q8x32    per block of 32       8 dwords of 4 int8, each × rows
//                                  -(sum of the block)  int32 × rows
//                                  scale                F32 × rows
//   Q8x256   per block of 256      64 dwords of 4 int8, each × rows
//                                  -(sum of 16) int32, 16 of them, each × rows
//                                  sums of 32 as int16 pairs, 4 dwords, each × rows:
//                                      (0,2) (1,3) (4,6) (5,7)
//                                  scale                F32 × rows
//
// q = x · 127 / max|x|, to nearest, ties to even; scale = max|x| / 127. A block whose
// absolute maximum is below 1e-30 is zero: 127 over it would overflow. NaN or an
// infinity anywhere in a block makes its scale NaN, and so the row's results.

namespace ridgeline::RIDGELINE_ISA {
namespace {

inline constexpr int kQ8x32Dwords = 8;
inline constexpr std::size_t kQ8x32RowBytes = 40;  ///< one row's share of a block

inline constexpr int kQ8x256Dwords = 64;
inline constexpr int kQ8x256Sums16 = 64;   ///< in dwords × rows, from the block's begin
inline constexpr int kQ8x256Pairs32 = 80;
inline constexpr int kQ8x256Scale = 84;
inline constexpr std::size_t kQ8x256RowBytes = 85 * 4;

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
