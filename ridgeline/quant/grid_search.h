#pragma once

#include "ridgeline/tensor/dtype.h"

namespace ridgeline {

struct BlockGrid;

/// What a search for the scales of one block is given. Elements are the block's divided by
/// `unit`, a power of two that brings the greatest near 1, so that no sum overflows;
/// weights are in [0, 1], not all zero. All are finite.
struct GridProblem {
  static constexpr int kElementsMax = 256;
  float x[kElementsMax];
  float weight[kElementsMax];
  float unit;
};

/// What it finds: sub-block s has scale d · scale[s] and offset -dmin · min[s] in the
/// K-quants; d and -dmin in blocks of 32. Both are F16 numbers in units of the block itself.
struct GridChoice {
  static constexpr int kSubBlocksMax = 16;
  float d = 0.0f;
  float dmin = 0.0f;
  int scale[kSubBlocksMax] = {};
  int min[kSubBlocksMax] = {};
};

using GridSearch = void (*)(const GridProblem& problem, GridChoice& choice);

/// The searches, compiled for one instruction set (quant/isa.h).
struct GridSearches {
  GridSearch q4_0, q4_1, q5_0, q5_1, q8_0;
  GridSearch q2_k, q3_k, q4_k, q5_k, q6_k;
  GridSearch iq4_nl, iq4_xs;
};

/// GridFormat::fit with these.
void fit_grid(const GridSearches& searches, DType dtype, const float* x, const float* importance,
              BlockGrid& grid);

}  // namespace ridgeline
