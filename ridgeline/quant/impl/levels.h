#pragma once

#include "ridgeline/quant/impl/wide.h"
#include "ridgeline/quant/iq4_codebook.h"

// The steps that the levels of a format stand for.
namespace ridgeline::RIDGELINE_ISA {
namespace {

/// The integers kLow .. kHigh.
template <int kLow, int kHigh>
struct EvenSteps {
  static constexpr bool kMirrored = kLow == -kHigh;
  /// The greatest magnitude, which the greatest element is laid on or near.
  static constexpr int kTop = -kLow > kHigh ? -kLow : kHigh;
  RIDGELINE_INLINE static WideF nearest(WideF v) {
    return rounded(clamped(v, static_cast<float>(kLow), static_cast<float>(kHigh)));
  }
};

/// The codebook of IQ4_NL and IQ4_XS.
struct CodebookSteps {
  static constexpr bool kMirrored = false;
  static constexpr int kTop = 127;
  /// A step up of `gap` at `middle`, between each value and the next.
  struct Stairs {
    float gap[15], middle[15];
    constexpr Stairs() : gap(), middle() {
      for (int c = 0; c < 15; ++c) {
        gap[c] = static_cast<float>(iq4::kValues[c + 1] - iq4::kValues[c]);
        middle[c] = 0.5f * static_cast<float>(iq4::kValues[c + 1] + iq4::kValues[c]);
      }
    }
  };
  RIDGELINE_INLINE static WideF nearest(WideF v) {
    constexpr Stairs kStairs;
    WideF step = wide(iq4::kValues[0]);
#pragma GCC unroll 15
    for (int c = 0; c < 15; ++c)
      step += select(v >= kStairs.middle[c], wide(kStairs.gap[c]), WideF{});
    return step;
  }
  /// The level of that step, 0 .. 15.
  RIDGELINE_INLINE static WideI code(WideF v) {
    constexpr Stairs kStairs;
    WideI code{};
#pragma GCC unroll 15
    for (int c = 0; c < 15; ++c) code -= v >= kStairs.middle[c];
    return code;
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
