#include "ridgeline/tools/row_softmax.h"

#include <algorithm>
#include <bit>

namespace ridgeline {
namespace {

/// e^x for x <= 0, to about 1e-6 of the value, in arithmetic that compilers vectorise:
/// 2^n times a Taylor polynomial of 2^f, |f| <= 1/2.
inline float exp_nonpositive(float x) {
  const float scaled = std::max(x * 1.44269504F, -126.0F);
  const auto n = static_cast<std::int32_t>(scaled - 0.5F);  // towards zero, and scaled <= 0
  const float f = (scaled - static_cast<float>(n)) * 0.693147181F;
  float p = 1.0F / 720;
  p = p * f + 1.0F / 120;
  p = p * f + 1.0F / 24;
  p = p * f + 1.0F / 6;
  p = p * f + 0.5F;
  p = p * f + 1.0F;
  p = p * f + 1.0F;
  return p * std::bit_cast<float>((n + 127) << 23);
}

/// Eight partial results let the compiler use vectors without reordering one sum.
constexpr std::int64_t kPartials = 8;

}  // namespace

float largest_of(const float* x, std::int64_t n) {
  float part[kPartials];
  std::fill_n(part, kPartials, x[0]);
  std::int64_t i = 0;
  for (; i + kPartials <= n; i += kPartials)
    for (std::int64_t j = 0; j < kPartials; ++j) part[j] = part[j] > x[i + j] ? part[j] : x[i + j];
  for (; i < n; ++i) part[0] = std::max(part[0], x[i]);
  return *std::max_element(part, part + kPartials);
}

float exponentiate(float* x, std::int64_t n, float most) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = exp_nonpositive(x[i] - most);
  float part[kPartials] = {};
  std::int64_t i = 0;
  for (; i + kPartials <= n; i += kPartials)
    for (std::int64_t j = 0; j < kPartials; ++j) part[j] += x[i + j];
  for (; i < n; ++i) part[0] += x[i];
  float sum = 0;
  for (const float p : part) sum += p;
  return sum;
}

}  // namespace ridgeline
