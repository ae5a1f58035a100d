#include "ridgeline/tools/ptq/tensor_quality.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ridgeline/base/check.h"

namespace ridgeline::ptq {
namespace {

constexpr std::size_t kPiece = 256;

/// In F32, in lanes that the compiler makes vectors of: sixteen terms to a sum, rounded by less
/// than 1e-6 of it, which is 1e-5 dB.
void add_piece(const float* original, const float* decoded, TensorQuality& quality) {
  constexpr std::size_t kLanes = 16;
  float signal[kLanes] = {}, noise[kLanes] = {}, largest[kLanes] = {};
  for (std::size_t i = 0; i < kPiece; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float w = original[i + lane], error = std::fabs(w - decoded[i + lane]);
      signal[lane] += w * w;
      noise[lane] += error * error;
      largest[lane] = error > largest[lane] ? error : largest[lane];
    }
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    quality.signal += static_cast<double>(signal[lane]);
    quality.noise += static_cast<double>(noise[lane]);
    quality.max_error = std::max(quality.max_error, static_cast<double>(largest[lane]));
  }
}

void add_exactly(std::span<const float> original, std::span<const float> decoded,
                 TensorQuality& quality) {
  for (std::size_t i = 0; i < original.size(); ++i) {
    const auto w = static_cast<double>(original[i]);
    const double error = std::fabs(w - static_cast<double>(decoded[i]));
    quality.signal += w * w;
    quality.noise += error * error;
    quality.max_error = std::max(quality.max_error, error);
  }
}

}  // namespace

void TensorQuality::add(std::span<const float> original, std::span<const float> decoded) {
  RIDGELINE_CHECK(original.size() == decoded.size());
  elements += static_cast<std::int64_t>(original.size());
  for (; original.size() >= kPiece;
       original = original.subspan(kPiece), decoded = decoded.subspan(kPiece)) {
    TensorQuality piece;
    add_piece(original.data(), decoded.data(), piece);
    // Where squares leave F32's range on either side.
    if (!(piece.signal > 1e-20 && piece.signal < 1e30 && piece.noise < 1e30)) {
      piece = {};
      add_exactly(original.first(kPiece), decoded.first(kPiece), piece);
    }
    add(piece);
  }
  add_exactly(original, decoded, *this);
}

void TensorQuality::add(const TensorQuality& other) {
  elements += other.elements;
  signal += other.signal;
  noise += other.noise;
  max_error = std::max(max_error, other.max_error);
}

double TensorQuality::sqnr_db() const {
  if (noise == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(signal / noise);
}

}  // namespace ridgeline::ptq
