#pragma once

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/quant/block_format.h"
#include "ridgeline/quant/half.h"

// Weights, activations and exact products for the tests of matrix kernels.

namespace ridgeline::reference {

struct Weights {
  DType dtype;
  int rows;
  std::int64_t k;
  std::vector<std::byte> bytes;

  std::size_t row_bytes() const { return ridgeline::row_bytes(dtype, k); }
  const std::byte* row(int r) const {
    return bytes.data() + static_cast<std::size_t>(r) * row_bytes();
  }
  std::vector<float> decoded(int r) const {
    std::vector<float> out(static_cast<std::size_t>(k));
    decode(dtype, row(r), k, out.data());
    return out;
  }
};

/// Where the F16 scales of a block lie.
inline std::vector<std::size_t> scale_offsets(DType dtype) {
  switch (dtype) {
    case DType::kQ2_K:
      return {80, 82};
    case DType::kQ3_K:
      return {108};
    case DType::kQ6_K:
      return {208};
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {0, 2};
    default:
      return {0};
  }
}
/// Gives every block of `bytes` the scales that `next` returns; of MXFP4, which has
/// powers of two, the one just above.
template <class Next>
void set_scales(DType dtype, std::vector<std::byte>& bytes, Next&& next) {
  const auto block_bytes = static_cast<std::size_t>(info(dtype).block_bytes);
  for (std::size_t block = 0; block < bytes.size(); block += block_bytes) {
    if (dtype == DType::kMXFP4) {
      bytes[block] = static_cast<std::byte>(std::ilogb(next()) + 128);
      continue;
    }
    for (const std::size_t at : scale_offsets(dtype)) {
      const std::uint16_t d = f32_to_f16(next());
      std::memcpy(bytes.data() + block + at, &d, sizeof d);
    }
  }
}
inline bool is_quantized(DType dtype) { return info(dtype).block_elements > 1; }

/// Random bytes, so that every level and every sub-scale occurs, under sane F16 scales.
inline Weights random_weights(DType dtype, int rows, std::int64_t k, std::mt19937& rng) {
  Weights w{dtype, rows, k, {}};
  w.bytes.resize(static_cast<std::size_t>(rows) * w.row_bytes());
  if (!is_quantized(dtype)) {
    std::normal_distribution<float> normal;
    std::vector<float> row(static_cast<std::size_t>(k));
    for (int r = 0; r < rows; ++r) {
      for (float& x : row) x = normal(rng);
      encode(dtype, row.data(), k, w.bytes.data() + static_cast<std::size_t>(r) * w.row_bytes());
    }
    return w;
  }
  for (std::byte& b : w.bytes) b = static_cast<std::byte>(rng());
  std::uniform_real_distribution<float> scale(-0.02f, 0.02f);
  set_scales(dtype, w.bytes, [&] { return scale(rng); });
  return w;
}

struct Activations {
  int rows;
  std::int64_t k;
  std::vector<float> values;  ///< rows of k

  float* row(int r) { return values.data() + r * k; }
  const float* row(int r) const { return values.data() + r * k; }
};

/// Rows of very different size, with an outlier here and there.
inline Activations random_activations(int rows, std::int64_t k, std::mt19937& rng) {
  Activations x{rows, k, std::vector<float>(static_cast<std::size_t>(rows * k))};
  std::normal_distribution<float> normal;
  for (int r = 0; r < rows; ++r)
    for (std::int64_t i = 0; i < k; ++i)
      x.row(r)[i] = std::ldexp(normal(rng), r * 3 - 9) * (rng() % 64 == 0 ? 20.0f : 1.0f);
  return x;
}

/// What a kernel sees of a row of activations: exactly, for every format.
inline std::vector<double> as_packed(const float* x, std::int64_t k, ActivationFormat format) {
  std::vector<double> out(x, x + k);
  if (format == ActivationFormat::kF32) return out;
  if (format == ActivationFormat::kBF16) {
    for (std::int64_t i = 0; i < k; ++i)
      out[static_cast<std::size_t>(i)] = static_cast<double>(bf16_to_f32(f32_to_bf16(x[i])));
    return out;
  }
  const std::int64_t block = format == ActivationFormat::kQ8x32 ? 32 : 256;
  for (std::int64_t b = 0; b < k; b += block) {
    float max = 0.0f;
    for (std::int64_t i = b; i < b + block; ++i) max = std::fmax(max, std::fabs(x[i]));
    const bool zero = max < 1e-30f;
    const float inverse = zero ? 0.0f : 127.0f / max;
    const float scale = zero ? 0.0f : max / 127.0f;
    for (std::int64_t i = b; i < b + block; ++i)
      out[static_cast<std::size_t>(i)] =
          static_cast<double>(std::nearbyint(x[i] * inverse)) * static_cast<double>(scale);
  }
  return out;
}

struct Expected {
  double value = 0.0;
  double tolerance = 0.0;
};

/// The product, and how far a kernel's F32 steps may be off: the terms (for types with
/// minima, their two parts) sum to at most `bound`, and each partial sum of a chain
/// rounds by half a unit in the last place, products once more in generic. A chain has
/// at most 32 steps and an addition per block of 32.
inline Expected expected_product(const std::vector<float>& w, const std::vector<double>& x) {
  Expected e;
  double x_sum = 0.0, w_max = 0.0, bound = 0.0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    e.value += static_cast<double>(w[i]) * x[i];
    bound += std::fabs(static_cast<double>(w[i]) * x[i]);
    x_sum += std::fabs(x[i]);
    w_max = std::fmax(w_max, std::fabs(static_cast<double>(w[i])));
  }
  // Levels times scale, and minimum: each at most twice the largest weight or so.
  bound += 4.0 * w_max * x_sum;
  const double roundings = 2.0 * (32.0 + static_cast<double>(w.size()) / 32.0 + 4.0);
  e.tolerance = bound * roundings * 0x1p-24 / 4.0 + 1e-30;
  return e;
}

/// A row rounded to 8 bits by its largest magnitude: levels, and what one is worth.
struct RoundedRow {
  std::vector<double> levels;
  double scale = 0.0;
};
inline RoundedRow rounded_row(const std::vector<float>& x) {
  RoundedRow row{std::vector<double>(x.size()), 0.0};
  float max = 0.0f;
  for (const float v : x) max = std::fmax(max, std::fabs(v));
  if (max < 1e-30f) return row;
  const float inverse = 127.0f / max;
  row.scale = static_cast<double>(max / 127.0f);
  for (std::size_t i = 0; i < x.size(); ++i)
    row.levels[i] = static_cast<double>(std::nearbyint(x[i] * inverse));
  return row;
}

/// Products of weights and activations that are both rounded by rows; with `outliers`, all
/// |x| >= 6 are multiplied as they are, with the weights of the file (Dettmers et al. 2022,
/// equation 8). A chain has two steps for a block of 256 and one for each outlier.
inline Expected expected_int8(const std::vector<float>& w, const float* x, bool outliers) {
  std::vector<float> rest(x, x + w.size());
  Expected e;
  double bound = 0.0, steps = 2.0 * std::ceil(static_cast<double>(w.size()) / 256.0);
  for (std::size_t i = 0; i < w.size(); ++i) {
    if (!outliers || std::fabs(x[i]) < 6.0f) continue;
    const double term = static_cast<double>(w[i]) * static_cast<double>(x[i]);
    e.value += term;
    bound += std::fabs(term);
    steps += 1.0;
    rest[i] = 0.0f;
  }
  const RoundedRow a = rounded_row(w), b = rounded_row(rest);
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double term = a.levels[i] * b.levels[i] * a.scale * b.scale;
    e.value += term;
    bound += std::fabs(term);
  }
  e.tolerance = bound * 2.0 * (steps + 2.0) * 0x1p-24 + 1e-30;
  return e;
}

/// Of any kernel: column `c` of the weight times a row of activations.
inline Expected expected_of(const WeightKernel& kernel, const Weights& w, int c, const float* x) {
  switch (kernel.activation) {
    case ActivationFormat::kInt8Row:
      return expected_int8(w.decoded(c), x, false);
    case ActivationFormat::kInt8RowOutliers:
      return expected_int8(w.decoded(c), x, true);
    default:
      return expected_product(w.decoded(c), as_packed(x, w.k, kernel.activation));
  }
}

}  // namespace ridgeline::reference
