#include "ridgeline/tools/ablation/scalar_products.h"

#include <array>
#include <cmath>
#include <cstring>
#include <memory>

#include "ridgeline/quant/block_format.h"
#include "ridgeline/quant/half.h"
#include "ridgeline/quant/q8_0.h"

namespace ridgeline {
namespace {

/// What code without conversion instructions does: a float for each half.
const float* half_table() {
  static const auto table = [] {
    auto floats = std::make_unique<std::array<float, 65536>>();
    for (std::size_t i = 0; i < floats->size(); ++i)
      (*floats)[i] = f16_to_f32(static_cast<std::uint16_t>(i));
    return floats;
  }();
  return table->data();
}

std::uint16_t load_half(const std::byte* p) {
  std::uint16_t half;
  std::memcpy(&half, p, sizeof half);
  return half;
}

}  // namespace

void scalar_decode(DType dtype, const std::byte* row, std::int64_t n, float* out) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out, row, static_cast<std::size_t>(n) * sizeof(float));
      return;
    case DType::kF16:
      scalar_halves(row, sizeof(std::uint16_t), n, out);
      return;
    case DType::kBF16:
      for (std::int64_t i = 0; i < n; ++i) out[i] = bf16_to_f32(load_half(row + 2 * i));
      return;
    case DType::kQ8_0: {
      const float* halves = half_table();
      const auto* block = reinterpret_cast<const BlockQ8_0*>(row);
      for (std::int64_t i = 0; i < n; i += BlockQ8_0::kElements, ++block) {
        const float scale = halves[block->d];
        for (int j = 0; j < BlockQ8_0::kElements; ++j)
          out[i + j] = scale * static_cast<float>(block->qs[j]);
      }
      return;
    }
    default:
      decode(dtype, row, n, out);
  }
}

float scalar_dot(const float* a, const float* b, std::int64_t n) {
  float sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

void scalar_add_scaled(const float* x, float factor, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

void scalar_halves(const std::byte* from, std::ptrdiff_t step, std::int64_t n, float* out) {
  const float* halves = half_table();
  for (std::int64_t i = 0; i < n; ++i, from += step) out[i] = halves[load_half(from)];
}

void scalar_softcap(float* x, std::int64_t n, float cap) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = cap * std::tanh(x[i] / cap);
}

void scalar_softmax(float* x, std::int64_t n, const float* sink) {
  float most = sink != nullptr ? *sink : x[0];
  for (std::int64_t i = 0; i < n; ++i) most = x[i] > most ? x[i] : most;
  float sum = sink != nullptr ? std::exp(*sink - most) : 0.0F;
  for (std::int64_t i = 0; i < n; ++i) {
    x[i] = std::exp(x[i] - most);
    sum += x[i];
  }
  for (std::int64_t i = 0; i < n; ++i) x[i] /= sum;
}

}  // namespace ridgeline
