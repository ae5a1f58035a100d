#pragma once

#include <cstdint>

namespace ridgeline {

/// How plain rounding into an affine K-quant looks for a sub-block's scale and offset: levels
/// are 0..level_max; `trials` step widths, that spread the range over level_max + first,
/// + first + 0.1, ... Best is the least Σ w·(error)² with w = rms + |x|, or Σ |x|·|error|.
struct StepTrials {
  int level_max;
  int trials;
  float first;
  bool absolute_error = false;
};

/// The searches of plain rounding for the scales of all sub-blocks of a block of 256. Formulas,
/// their order and their rounding are those of ggml's reference quantizers.
struct SubBlockFits {
  /// x ≈ scale · level - min, in eight sub-blocks of 32 or sixteen of 16; levels a byte each.
  using Affine = void (*)(const float* x, const StepTrials& search, float* scale, float* min,
                          std::uint8_t* levels);
  Affine affine_32s, affine_16s;
  /// x ≈ scale · (level - 4) and scale · (level - 32), in sixteen sub-blocks.
  using Symmetric = void (*)(const float* x, float* scale, std::uint8_t* levels);
  Symmetric q3_k, q6_k;
  /// The factor of a block of 32 elements x ≈ scale · value (quant/iq4_codebook.h).
  float (*iq4_scale)(const float* x);
  /// codes[i] = the value nearest to x[i] · inverse, the upper one of two, of 32.
  void (*iq4_codes)(const float* x, float inverse, std::uint8_t* codes);
};

}  // namespace ridgeline
