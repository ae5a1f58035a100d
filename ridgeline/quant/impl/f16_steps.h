#pragma once

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/impl/wide.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// The finite F16 number nearest to v, and those some places away from it.
struct F16Steps {
  std::uint16_t bits;

  explicit F16Steps(float v) : bits(f32_to_f16(v)) {
    if ((bits & 0x7fff) > 0x7bff) bits = static_cast<std::uint16_t>((bits & 0x8000) | 0x7bff);
    if (!(v == v)) bits = 0;
  }
  /// `places` away from zero, or towards it if negative, as far as they go.
  float at(int places) const {
    int magnitude = (bits & 0x7fff) + places;
    magnitude = magnitude < 0 ? 0 : (magnitude > 0x7bff ? 0x7bff : magnitude);
    return f16_to_f32(static_cast<std::uint16_t>((bits & 0x8000) | magnitude));
  }
};

/// v, in units of a problem, as F16 stores it; likewise in units of the problem.
inline float storable(float v, float unit) { return F16Steps(v * unit).at(0) / unit; }

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
