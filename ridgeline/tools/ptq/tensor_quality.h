#pragma once

#include <cstdint>
#include <span>

namespace ridgeline::ptq {

/// What rounding cost, of one tensor or of several: sums, so that parts can be added.
struct TensorQuality {
  std::int64_t elements = 0;
  double signal = 0;     ///< Σ w²
  double noise = 0;      ///< Σ (w - ŵ)²
  double max_error = 0;  ///< max |w - ŵ|

  void add(std::span<const float> original, std::span<const float> decoded);
  void add(const TensorQuality& other);
  /// Signal over noise, 10 log10(Σ w² / Σ (w - ŵ)²) in dB; infinite where nothing was lost.
  double sqnr_db() const;
};

}  // namespace ridgeline::ptq
