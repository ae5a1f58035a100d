#include "ridgeline/engine/logit_scan.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <functional>
#include <limits>

#include "ridgeline/base/check.h"
#include "ridgeline/engine/float4.h"

namespace ridgeline {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
// Four vectors are in flight, since a comparison or an addition waits for the one before.
constexpr std::size_t kUnroll = 4;
constexpr std::size_t kStep = kUnroll * kFloat4Lanes;

// exp(x) for x in [-87.3, 0]: 2^n * e^r with |r| <= ln2 / 2 and the Taylor polynomial of
// degree 7, whose remainder r^8 / 8! is 5e-9, below a float's rounding. ln2 is split in
// two so that n * ln2 is exact enough (Cody and Waite). Adding and subtracting 1.5 * 2^23
// rounds to an integer, which then lies in the low bits. NaN and anything below give 0.
inline Float4 exp_nonpositive(Float4 x) {
  constexpr float kLowest = -87.3f;  // e^-87.3 is the last above FLT_MIN
  constexpr float kRound = 12582912.0f;
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  const Int4 in_range = x >= kLowest;
  const Float4 clamped = in_range ? x : broadcast4(kLowest);
  const Float4 shifted = clamped * kLog2E + kRound;
  const Float4 n = shifted - kRound;
  const Float4 r = (clamped - n * kLn2High) - n * kLn2Low;
  Float4 p = broadcast4(1.0f / 5040);
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const Int4 exponent = std::bit_cast<Int4>(shifted) - std::bit_cast<std::int32_t>(kRound);
  const Float4 scaled = p * std::bit_cast<Float4>((exponent + 127) << 23);
  return in_range ? scaled : broadcast4(0.0f);
}

// Lanes past `count` read as `filler`.
Float4 load_tail(const float* from, std::size_t count, float filler) {
  std::array<float, kFloat4Lanes> lanes;
  lanes.fill(filler);
  std::copy_n(from, count, lanes.begin());
  return load4(lanes.data());
}

// The largest values seen so far, at least k of them once there are as many; a value
// enters only if it is above the k-th largest. Each shrinking costs as much as the
// pushes since the last one, so the whole is linear in the worst case, and on ordinary
// logits about k * ln(n / k) values enter at all.
class LargestValues {
 public:
  LargestValues(std::size_t k, std::span<float> storage)
      : k_(k), storage_(storage.first(std::min(storage.size(), std::max(2 * k, kRoom)))) {}

  float threshold() const { return threshold_; }

  void push(float value) {
    if (size_ == storage_.size()) shrink();
    if (value > threshold_) storage_[size_++] = value;
  }

  KthLargest finish() {
    if (size_ < k_) return {kMinusInfinity, 0};
    shrink();
    const auto above =
        std::count_if(storage_.begin(), storage_.begin() + static_cast<std::ptrdiff_t>(k_),
                      [&](float value) { return value > threshold_; });
    return {threshold_, k_ - static_cast<std::size_t>(above)};
  }

 private:
  static constexpr std::size_t kRoom = 512;

  void shrink() {
    const auto begin = storage_.begin();
    const auto kth = begin + static_cast<std::ptrdiff_t>(k_) - 1;
    std::nth_element(begin, kth, begin + static_cast<std::ptrdiff_t>(size_), std::greater<>());
    size_ = k_;
    threshold_ = *kth;
  }

  std::size_t k_;
  std::span<float> storage_;
  std::size_t size_ = 0;
  float threshold_ = kMinusInfinity;
};

}  // namespace

float max_logit(std::span<const float> logits) {
  const auto larger = [](Float4 a, Float4 b) { return a > b ? a : b; };  // b for a NaN in a
  std::array<Float4, kUnroll> best;
  best.fill(broadcast4(kMinusInfinity));
  std::size_t i = 0;
  for (; i + kStep <= logits.size(); i += kStep) {
    for (std::size_t j = 0; j < kUnroll; ++j) {
      best[j] = larger(load4(&logits[i + j * kFloat4Lanes]), best[j]);
    }
  }
  for (; i < logits.size(); i += kFloat4Lanes) {
    const std::size_t count = std::min(kFloat4Lanes, logits.size() - i);
    best[0] = larger(load_tail(&logits[i], count, kMinusInfinity), best[0]);
  }
  const Float4 lanes = larger(larger(best[0], best[1]), larger(best[2], best[3]));
  return std::max({lanes[0], lanes[1], lanes[2], lanes[3]});
}

std::optional<std::size_t> argmax(std::span<const float> logits) {
  // The maximum block by block, so that only one block is searched for its place.
  constexpr std::size_t kBlock = 1024;
  float best = kMinusInfinity;
  std::size_t best_block = 0;
  for (std::size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const float block_max =
        max_logit(logits.subspan(begin, std::min(kBlock, logits.size() - begin)));
    if (block_max > best) {
      best = block_max;
      best_block = begin;
    }
  }
  if (best == kMinusInfinity) return std::nullopt;
  std::size_t index = best_block;
  while (logits[index] != best) ++index;
  return index;
}

KthLargest kth_largest(std::span<const float> logits, std::size_t k, std::span<float> scratch) {
  RIDGELINE_CHECK(k > 0 && k < logits.size() && scratch.size() >= logits.size());
  LargestValues largest(k, scratch);
  std::size_t i = 0;
  for (; i + kStep <= logits.size(); i += kStep) {
    Int4 above{};
    for (std::size_t j = 0; j < kUnroll; ++j) {
      above |= load4(&logits[i + j * kFloat4Lanes]) > largest.threshold();
    }
    if (!any4(above)) continue;
    for (std::size_t j = 0; j < kStep; ++j) largest.push(logits[i + j]);
  }
  for (; i < logits.size(); ++i) largest.push(logits[i]);
  return largest.finish();
}

void exp_weights(std::span<const float> gaps, float temperature, std::span<float> weights) {
  std::size_t i = 0;
  for (; i + kFloat4Lanes <= gaps.size(); i += kFloat4Lanes) {
    store4(&weights[i], exp_nonpositive(-load4(&gaps[i]) / temperature));
  }
  if (i == gaps.size()) return;
  const std::size_t count = gaps.size() - i;
  const Float4 last = exp_nonpositive(-load_tail(&gaps[i], count, 0.0f) / temperature);
  for (std::size_t lane = 0; lane < count; ++lane) weights[i + lane] = last[lane];
}

namespace {

// Accumulates in double, where the order of a vocabulary's sum no longer shows.
class LaneSums {
 public:
  void add(std::size_t chain, Float4 values) {
    chains_[chain] += __builtin_convertvector(values, Double4);
  }
  double total() const {
    const Double4 lanes = (chains_[0] + chains_[1]) + (chains_[2] + chains_[3]);
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
  }

 private:
  std::array<Double4, kUnroll> chains_{};
};

// The sum of f over the values; f of the filler must be 0.
template <class F>
double sum_of(std::span<const float> values, float filler, F f) {
  LaneSums sums;
  std::size_t i = 0;
  for (; i + kStep <= values.size(); i += kStep) {
    for (std::size_t j = 0; j < kUnroll; ++j) sums.add(j, f(load4(&values[i + j * kFloat4Lanes])));
  }
  for (; i < values.size(); i += kFloat4Lanes) {
    sums.add(0, f(load_tail(&values[i], std::min(kFloat4Lanes, values.size() - i), filler)));
  }
  return sums.total();
}

}  // namespace

double sum(std::span<const float> values) {
  return sum_of(values, 0.0f, [](Float4 value) { return value; });
}

double softmax_denominator(std::span<const float> logits, float max) {
  return sum_of(logits, kMinusInfinity, [max](Float4 logit) {
    // As gap_below: the maximum has no distance from itself, even where it is infinite.
    const Float4 below = logit - max;
    return exp_nonpositive(logit == max ? broadcast4(0.0f) : below);
  });
}

}  // namespace ridgeline
