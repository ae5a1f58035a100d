#pragma once

#include "ridgeline/quant/rounding.h"

// How Q4_1 and Q5_1 encode: 32 elements as min + d · level, levels 0..top spread over
// the range of the block. Formulas and rounding are those of ggml's reference.
namespace ridgeline::affine32 {

constexpr int kElements = 32;

struct Fit {
  float d;
  float min;
  float inverse;  ///< 1/d
};

inline Fit fit(const float* x, int top) {
  float min = x[0], max = x[0];
  for (int i = 1; i < kElements; ++i) {
    min = x[i] < min ? x[i] : min;
    max = x[i] > max ? x[i] : max;
  }
  const float d = (max - min) / static_cast<float>(top);
  return {d, min, rounding::reciprocal(d)};
}

/// To the nearest level, ties up.
inline int level(const Fit& fit, float x, int top) {
  const float shifted = (x - fit.min) * fit.inverse + 0.5f;
  const float low = shifted > 0.0f ? shifted : 0.0f;  // NaN goes to 0
  const auto limit = static_cast<float>(top);
  return static_cast<int>(low < limit ? low : limit);
}

}  // namespace ridgeline::affine32
