#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ridgeline/tensor/dtype.h"

namespace ridgeline {

/// The values that the elements of one stored block may take, once its scales are chosen:
/// element i with level l decodes to scale[s] · step(l) + offset[s], s = i / sub_elements.
/// Scales and offsets are as the decoder has them, rounded as the format stores them.
struct BlockGrid {
  static constexpr int kSubBlocksMax = 16;
  float scale[kSubBlocksMax];
  float offset[kSubBlocksMax];  ///< 0 in symmetric formats
  /// The stored form of the above, for pack(): what it holds is the format's business.
  std::uint16_t d, dmin;
  std::uint8_t sub_scale[kSubBlocksMax], sub_min[kSubBlocksMax];
};

/// A block format seen as a choice of scales and then of levels, for algorithms that choose
/// levels themselves (GPTQ) or scales by what matters (an importance matrix).
struct GridFormat {
  DType dtype;
  int block_elements;  ///< 32 or 256
  int sub_elements;    ///< that share a scale
  int levels;          ///< l is 0 .. levels - 1
  bool has_offset;     ///< false: symmetric, offset is 0
  /// [levels], ascending: l - zero where levels are evenly spaced (is_even), or a codebook.
  const std::int8_t* steps;
  bool is_even;

  /// The grid of least Σ importance · (x - nearest value)², as far as the search goes.
  /// x, importance: [block_elements]; importance null: all alike.
  void (*fit)(const float* x, const float* importance, BlockGrid& grid);
  /// The storable grid nearest to wanted scales and offsets of the sub-blocks
  /// (scale and offset [block_elements / sub_elements], offset null in symmetric formats).
  void (*store)(const float* scale, const float* offset, BlockGrid& grid);
  /// The block of these levels [block_elements], info(dtype).block_bytes at `block`.
  void (*pack)(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block);

  int sub_blocks() const { return block_elements / sub_elements; }
  int step(int level) const { return steps[level]; }
  float value(const BlockGrid& grid, int sub, int level) const {
    return grid.scale[sub] * static_cast<float>(steps[level]) + grid.offset[sub];
  }
  /// The level whose value is nearest to x.
  int nearest(const BlockGrid& grid, int sub, float x) const;
};

/// Null for types that have no encoder, and for F32, F16 and BF16, which have no grid.
const GridFormat* grid_format(DType dtype);

/// A row by fit(), nearest() and pack(): `n` a multiple of the block, importance [n] or null.
/// The type must have a grid.
void encode_weighted(DType dtype, const float* x, const float* importance, std::int64_t n,
                     std::byte* blocks);

}  // namespace ridgeline
