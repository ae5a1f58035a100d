#include "ridgeline/quant/iq4_codebook.h"

#include <cmath>

#include "ridgeline/quant/lanes.h"
#include "ridgeline/quant/rounding.h"

namespace ridgeline::iq4 {
namespace {

using lanes::Float4;
using lanes::Int4;

constexpr int kTrials = 7;
constexpr float kZeroBelow = 1e-15f;

/// With the codes that `inverse` gives: Σ w·x·q and Σ w·q·q, where w = x².
struct Sums {
  float xq = 0.0f;
  float q2 = 0.0f;
};
Sums sums_with(const float* x, float inverse) {
  std::uint8_t codes[kBlock];
  nearest_codes(x, inverse, codes);
  Sums out;
  for (int i = 0; i < kBlock; ++i) {
    const float q = kValues[codes[i]];
    const float weight = x[i] * x[i];
    out.xq += weight * q * x[i];
    out.q2 += weight * q * q;
  }
  return out;
}

}  // namespace

void nearest_codes(const float* x, float inverse, std::uint8_t (&codes)[kBlock]) {
  for (int i = 0; i < kBlock; i += 4) {
    const Float4 level = inverse * Float4{x[i], x[i + 1], x[i + 2], x[i + 3]};
    Int4 code{};
    for (int c = 0; c < 15; ++c) {
      const float middle = 0.5f * static_cast<float>(kValues[c] + kValues[c + 1]);
      code -= static_cast<Int4>(level >= middle);
    }
    for (int lane = 0; lane < 4; ++lane) codes[i + lane] = static_cast<std::uint8_t>(code[lane]);
  }
}

float best_scale(const float* x) {
  const float max = rounding::signed_absmax(x, kBlock);
  if (!(std::fabs(max) >= kZeroBelow)) return 0.0f;
  const Sums first = sums_with(x, 1.0f / (-max / kValues[0]));
  float scale = first.q2 > 0.0f ? first.xq / first.q2 : 0.0f;
  float gain = scale * first.xq;
  for (int t = -kTrials; t <= kTrials; ++t) {
    const Sums sums = sums_with(x, static_cast<float>(t + kValues[0]) / max);
    if (!(sums.q2 > 0.0f && sums.xq * sums.xq > gain * sums.q2)) continue;
    scale = sums.xq / sums.q2;
    gain = scale * sums.xq;
  }
  return scale;
}

}  // namespace ridgeline::iq4
