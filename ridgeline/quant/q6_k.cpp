#include "ridgeline/quant/q6_k.h"

#include <cmath>
#include <cstring>

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/lanes.h"
#include "ridgeline/quant/rounding.h"

namespace ridgeline {
namespace {

using lanes::Float4;
using lanes::Int4;

constexpr int kLanes = 4;
constexpr int kSubBlocks = BlockQ6_K::kSubBlocks;
constexpr int kSubElements = BlockQ6_K::kElements / kSubBlocks;
constexpr int kLevels = 32;  // signed levels are [-32, 31]
constexpr int kRow = 32;     // of the four rows that share qh
constexpr float kZeroBelow = 1e-15f;

/// Four sub-blocks, each as x ≈ scale · level, with the weighted sums that the scale
/// came from: for given levels Σ w·(x - scale·l)² is least at scale = xl / l2, where it
/// is Σ w·x² - gain. Weights are x².
struct Fit {
  Int4 levels[kSubElements] = {};
  Float4 xl{};  // Σ w·x·l
  Float4 l2{};  // Σ w·l·l
  Float4 scale{};
  Float4 gain{};  // xl² / l2
};

void fit_with(const Float4* x, Float4 inverse_scale, Fit& fit) {
  fit.xl = fit.l2 = Float4{};
  for (int i = 0; i < kSubElements; ++i) {
    fit.levels[i] = lanes::round_to_level(inverse_scale * x[i], -kLevels, kLevels - 1);
    const Float4 l = lanes::to_float(fit.levels[i]);
    const Float4 weight = x[i] * x[i];
    fit.xl += weight * x[i] * l;
    fit.l2 += weight * l * l;
  }
  fit.scale = lanes::select(fit.l2 != 0.0f, fit.xl / fit.l2, Float4{});
  fit.gain = fit.scale * fit.xl;
}

void replace(Int4 where, const Fit& from, Fit& fit) {
  fit.l2 = lanes::select(where, from.l2, fit.l2);
  fit.scale = lanes::select(where, from.scale, fit.scale);
  fit.gain = lanes::select(where, from.gain, fit.gain);
  for (int i = 0; i < kSubElements; ++i)
    fit.levels[i] = lanes::select(where, from.levels[i], fit.levels[i]);
}

/// Tries 19 step widths around -max / 32, which puts the extreme element near level -32,
/// and keeps the best by Σ x²·(error)².
Fit fit_sub_blocks(const float* from) {
  Float4 x[kSubElements];
  for (int i = 0; i < kSubElements; ++i) x[i] = lanes::gather(from, kSubElements, i);
  Float4 max;
  for (int lane = 0; lane < kLanes; ++lane)
    max[lane] = rounding::signed_absmax(from + lane * kSubElements, kSubElements);

  Fit best;
  fit_with(x, static_cast<float>(-kLevels) / max, best);
  Fit trial;
  for (int t = -9; t <= 9; ++t) {
    if (t == 0) continue;
    fit_with(x, -(kLevels + 0.1f * static_cast<float>(t)) / max, trial);
    const Int4 better = (trial.l2 > 0.0f) & (trial.xl * trial.xl > best.gain * trial.l2);
    if (lanes::any(better)) replace(better, trial, best);
  }
  // Zeros: the search above divided by them.
  replace(lanes::absolute(max) < kZeroBelow, Fit{}, best);
  return best;
}

void encode_block(const float* x, BlockQ6_K& block) {
  float scales[kSubBlocks];
  std::uint8_t levels[BlockQ6_K::kElements];
  for (int first = 0; first < kSubBlocks; first += kLanes) {
    const Fit fit = fit_sub_blocks(x + first * kSubElements);
    for (int lane = 0; lane < kLanes; ++lane) {
      const int s = first + lane;
      scales[s] = fit.scale[lane];
      // A sub-block of zeros has scale 0, so its level could be any; the reference stores 0.
      const int zero_at = fit.l2[lane] == 0.0f ? 0 : kLevels;
      for (int i = 0; i < kSubElements; ++i)
        levels[s * kSubElements + i] = static_cast<std::uint8_t>(fit.levels[i][lane] + zero_at);
    }
  }
  const float scale_max = rounding::signed_absmax(scales, kSubBlocks);
  if (std::fabs(scale_max) < kZeroBelow) {
    block = {};
    return;
  }

  const float inverse = -128.0f / scale_max;
  block.d = f32_to_f16(1.0f / inverse);
  for (int s = 0; s < kSubBlocks; ++s) {
    const int scale = rounding::round_half_even(inverse * scales[s]);
    block.scales[s] = static_cast<std::int8_t>(rounding::clamp(scale, -128, 127));
    // The scale has been rounded, so the levels are chosen anew against it.
    const float d = f16_to_f32(block.d) * static_cast<float>(block.scales[s]);
    if (d == 0.0f) continue;
    for (int i = s * kSubElements; i < (s + 1) * kSubElements; ++i)
      levels[i] = static_cast<std::uint8_t>(
          kLevels + rounding::clamp(rounding::round_half_even(x[i] / d), -kLevels, kLevels - 1));
  }
  pack_q6_k_levels(levels, block);
}

}  // namespace

void pack_q6_k_levels(const std::uint8_t* levels, BlockQ6_K& block) {
  for (int half = 0; half < 2; ++half) {
    const std::uint8_t* a = levels + half * 4 * kRow;
    const std::uint8_t *b = a + kRow, *c = b + kRow, *d = c + kRow;
    std::uint8_t* ql = block.ql + half * 2 * kRow;
    std::uint8_t* qh = block.qh + half * kRow;
    for (int j = 0; j < kRow; ++j) {
      ql[j] = static_cast<std::uint8_t>((a[j] & 15) | (c[j] & 15) << 4);
      ql[kRow + j] = static_cast<std::uint8_t>((b[j] & 15) | (d[j] & 15) << 4);
      qh[j] = static_cast<std::uint8_t>(a[j] >> 4 | (b[j] >> 4) << 2 | (c[j] >> 4) << 4 |
                                        (d[j] >> 4) << 6);
    }
  }
}

// d · scale · q is exact (11 + 7 + 5 significant bits; -128 and -32 are powers of two),
// so the order of the products does not matter.
void decode_q6_k(const std::byte* blocks, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; i += BlockQ6_K::kElements) {
    BlockQ6_K block;
    std::memcpy(&block, blocks, sizeof block);
    blocks += sizeof block;
    const float d = f16_to_f32(block.d);
    for (int s = 0; s < kSubBlocks; ++s) {
      const float scale = d * static_cast<float>(block.scales[s]);
      const int half = s / 8, row = s % 8 / 2, first = s % 2 * kSubElements;
      const std::uint8_t* ql = block.ql + half * 2 * kRow + row % 2 * kRow + first;
      const std::uint8_t* qh = block.qh + half * kRow + first;
      const int low_shift = row / 2 * 4, high_shift = row * 2;
      float* y = out + i + s * kSubElements;
      for (int j = 0; j < kSubElements; ++j) {
        const int q = (ql[j] >> low_shift & 15) | (qh[j] >> high_shift & 3) << 4;
        y[j] = scale * static_cast<float>(q - kLevels);
      }
    }
  }
}

void encode_q6_k(const float* in, std::int64_t n, std::byte* blocks) {
  for (std::int64_t i = 0; i < n; i += BlockQ6_K::kElements) {
    BlockQ6_K block;
    encode_block(in + i, block);
    std::memcpy(blocks, &block, sizeof block);
    blocks += sizeof block;
  }
}

}  // namespace ridgeline
