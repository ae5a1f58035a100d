#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"

namespace ridgeline {

/// Uniform quantization by rounding to the nearest level, independent of any file format.
/// A group of weights shares a scale s (and a zero point z); w is stored as the integer q and
/// comes back as ŵ. With b bits:
///
///   symmetric    s = max|w| / (2^(b-1) - 1)      q = round(w / s)
///                                                ŵ = s · q
///   asymmetric   s = (max - min) / (2^b - 1)     q = round(w / s) + z
///                z = round(-min / s) - 2^(b-1)   ŵ = s · (q - z)
///
/// where min and max have zero among them, so that zero is stored exactly, and round takes
/// ties away from zero. q is within ±(2^(b-1) - 1), and within -2^(b-1) .. 2^(b-1) - 1 in the
/// asymmetric form. In both,
///
///   |w - ŵ| <= s / 2
///
/// of every element, up to the rounding of s and ŵ in F32 (2^-23 of max|w|). In the
/// asymmetric form no level is cut off although z is rounded: the ends of the range are
/// within 2^b - 1 steps of each other, so where rounding z moves one by less than half a step
/// beyond its level, that level is still the nearest.
///
/// Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
/// Integer-Arithmetic-Only Inference", section 2.1 (the affine form); per channel and per
/// group, Krishnamoorthi 2018, "Quantizing deep convolutional networks for efficient
/// inference", section 2, and Dettmers et al. 2022, "LLM.int8()", section 2.
struct RoundToNearest {
  enum class Granularity : std::uint8_t {
    kTensor,   ///< one scale in all
    kChannel,  ///< one for each row, which is an output channel
    kGroup,    ///< one for each `group` consecutive elements of a row
  };
  int bits = 8;  ///< 8 or 4
  bool symmetric = true;
  Granularity granularity = Granularity::kChannel;
  std::int64_t group = 128;  ///< 32, 64 or 128, of kGroup
};

/// A matrix [rows][cols] so rounded.
struct RoundedMatrix {
  RoundToNearest scheme;
  std::int64_t rows = 0, cols = 0;
  std::int64_t group = 0;                ///< elements that share a scale, one after the other
  std::vector<float> scales;             ///< [rows · cols / group]
  std::vector<std::int8_t> zero_points;  ///< likewise; empty if symmetric
  std::vector<std::uint8_t> codes;       ///< int8, or int4 as pack_int4() has them, per row

  std::int64_t row_bytes() const { return scheme.bits == 4 ? (cols + 1) / 2 : cols; }
  /// Of codes, scales in F32 and zero points of a byte, per weight.
  double bits_per_weight() const;
};

/// `name` is the matrix in errors: a group that is not 32, 64 or 128 or does not divide the
/// width, bits other than 4 and 8, a weight that is not finite.
Result<RoundedMatrix> round_to_nearest(std::span<const float> w, std::int64_t rows,
                                       std::int64_t cols, const RoundToNearest& scheme,
                                       const std::string& name);
/// ŵ, [rows · cols].
void dequantize(const RoundedMatrix& matrix, std::span<float> out);

/// Integers -8 .. 7 in two's complement, two to a byte, the first in the low nibble; an odd
/// one out has a zero beside it. `to` has (from.size() + 1) / 2 bytes.
void pack_int4(std::span<const std::int8_t> from, std::uint8_t* to);
void unpack_int4(const std::uint8_t* from, std::span<std::int8_t> to);

}  // namespace ridgeline
