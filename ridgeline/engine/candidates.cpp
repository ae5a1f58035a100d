#include "ridgeline/engine/candidates.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "ridgeline/base/check.h"
#include "ridgeline/engine/float4.h"
#include "ridgeline/engine/logit_scan.h"

namespace ridgeline {
namespace {

// Keys are floats >= 0, whose bit patterns ascend as they do: 31 bits, in three digits.
constexpr int kDigitBits[] = {11, 10, 10};
constexpr int kKeyBits = 31;
constexpr std::size_t kBinsMax = 1u << 11;
// Neighbours add to different copies of the histogram: where many tokens share a bin, an
// addition would wait for the store before it. Not worth the merging for a few candidates.
constexpr std::size_t kHistograms = 4;
constexpr std::size_t kManyCandidates = 4096;

std::uint32_t bits_of(float key) { return std::bit_cast<std::uint32_t>(key); }

}  // namespace

Candidates::Candidates(int vocab_size)
    : ids_(static_cast<std::size_t>(vocab_size)),
      gaps_(ids_.size()),
      weights_(ids_.size()),
      surprises_(ids_.size()),
      mass_(kHistograms * kBinsMax) {}

void Candidates::collect(std::span<const float> logits, float max, float threshold,
                         std::size_t ties_max) {
  RIDGELINE_CHECK(logits.size() <= ids_.size());
  constexpr std::size_t kBlock = 32;
  std::size_t kept = 0, ties = 0;
  const auto take = [&](std::size_t i) {
    const float logit = logits[i];
    const bool is_tie = logit == threshold && ties < ties_max;
    ids_[kept] = static_cast<TokenId>(i);
    gaps_[kept] = gap_below(max, logit);
    kept += logit > threshold || is_tie ? 1 : 0;
    ties += is_tie ? 1 : 0;
  };
  std::size_t begin = 0;
  for (; begin + kBlock <= logits.size(); begin += kBlock) {
    Int4 any{};  // most blocks hold nothing
    for (std::size_t i = 0; i < kBlock; i += kFloat4Lanes)
      any |= load4(&logits[begin + i]) >= threshold;
    if (!any4(any)) continue;
    for (std::size_t i = 0; i < kBlock; ++i) take(begin + i);
  }
  for (; begin < logits.size(); ++begin) take(begin);
  size_ = kept;
}

void Candidates::collect_top_k(std::span<const float> logits, float max, std::size_t k) {
  RIDGELINE_CHECK(k > 0 && logits.size() <= ids_.size());
  if (k >= logits.size()) return collect(logits, max);
  const KthLargest kth = kth_largest(logits, k, weights_);
  collect(logits, max, kth.value, kth.ties);
}

void Candidates::weigh(double temperature) {
  // A temperature below the smallest normal float leaves the maxima alone, as FLT_MIN does.
  const float divisor =
      std::max(static_cast<float>(temperature), std::numeric_limits<float>::min());
  exp_weights(gaps(), divisor, weights());
}

template <class Keep>
void Candidates::compact(std::vector<float>& keys, Keep keep) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < size_; ++i) {
    const bool stays = keep(i);
    ids_[kept] = ids_[i];
    gaps_[kept] = gaps_[i];
    weights_[kept] = weights_[i];
    keys[kept] = keys[i];  // may be gaps_ itself
    kept += stays ? 1 : 0;
  }
  size_ = kept;
}

// The weight by next digit of the tokens whose keys begin with `prefix`.
std::span<const double> Candidates::weigh_bins(std::span<const float> keys, std::uint32_t prefix,
                                               int shift, int digit_bits) {
  const std::size_t bins = std::size_t{1} << digit_bits;
  const std::size_t histograms = size_ < kManyCandidates ? 1 : kHistograms;
  std::fill_n(mass_.begin(), histograms * bins, 0.0);
  for (std::size_t i = 0; i < size_; ++i) {
    const std::uint32_t digits = bits_of(keys[i]) >> shift;
    if (digits >> digit_bits != prefix) continue;
    double* histogram = &mass_[(i & (histograms - 1)) * bins];
    histogram[digits & (bins - 1)] += static_cast<double>(weights_[i]);
  }
  for (std::size_t h = 1; h < histograms; ++h) {
    for (std::size_t bin = 0; bin < bins; ++bin) mass_[bin] += mass_[h * bins + bin];
  }
  return std::span(mass_).first(bins);
}

// Keeps the tokens of the smallest keys (of equal keys, the lowest ids) until their
// weights reach `target`, and at least one. A radix selection by weight: the histogram of
// the keys' leading digit says in which bin the target is reached; what lies above it goes,
// and the bin alone is looked at by the next digit. Linear for any distribution.
void Candidates::keep_mass(std::vector<float>& keys, double target) {
  double below = 0;          // weight of all tokens under the bin that is being refined
  std::uint32_t prefix = 0;  // that bin's digits so far
  int shift = kKeyBits;
  for (const int digit_bits : kDigitBits) {
    shift -= digit_bits;
    const std::uint32_t digit_mask = (1u << digit_bits) - 1;
    const std::span<const double> mass = weigh_bins(keys, prefix, shift, digit_bits);
    // Where rounding keeps the sum just under the target, the last bin with weight is it.
    std::uint32_t bin = 0;
    double below_bin = below, reached = below;
    for (std::uint32_t b = 0; b <= digit_mask; ++b) {
      if (mass[b] <= 0) continue;
      bin = b;
      below_bin = reached;
      reached += mass[b];
      if (reached >= target) break;
    }
    below = below_bin;
    prefix = prefix << digit_bits | bin;
    compact(keys, [&](std::size_t i) { return bits_of(keys[i]) >> shift <= prefix; });
  }
  // Equal keys are left; ids ascend.
  double reached = below;
  compact(keys, [&](std::size_t i) {
    if (bits_of(keys[i]) < prefix) return true;
    const bool stays = reached < target || reached <= 0;
    reached += static_cast<double>(weights_[i]);
    return stays;
  });
}

void Candidates::keep_typical(double p) {
  if (p >= 1) return;
  weigh(1.0);
  // Surprise is gap + log(total), so entropy is the mean gap + log(total): the difference
  // needs no logarithm.
  const double total = sum(weights());
  double weighted_gaps = 0;
  for (std::size_t i = 0; i < size_; ++i) {
    if (weights_[i] > 0)
      weighted_gaps += static_cast<double>(weights_[i]) * static_cast<double>(gaps_[i]);
  }
  const auto mean_gap = static_cast<float>(weighted_gaps / total);
  for (std::size_t i = 0; i < size_; ++i) surprises_[i] = std::fabs(gaps_[i] - mean_gap);
  keep_mass(surprises_, p * total);
  // The most probable token may be gone; gaps count from the most probable one.
  const float least =
      *std::min_element(gaps_.begin(), gaps_.begin() + static_cast<std::ptrdiff_t>(size_));
  for (float& gap : gaps()) gap -= least;
}

void Candidates::keep_top_p(double p) {
  if (p >= 1) return;
  weigh(1.0);
  keep_mass(gaps_, p * sum(weights()));
}

void Candidates::keep_top_p(double p, double total) {
  if (p >= 1) return;
  weigh(1.0);
  keep_mass(gaps_, p * total);
}

void Candidates::keep_min_p(double p) {
  if (p <= 0) return;
  const auto widest = static_cast<float>(-std::log(p));
  compact(gaps_, [&](std::size_t i) { return gaps_[i] <= widest; });
}

TokenId Candidates::draw(double temperature, double uniform) {
  RIDGELINE_CHECK(size_ > 0);
  weigh(temperature);
  // Sums of blocks first, then only the block in which the cumulative sum passes. The total
  // is the same sum, so that it passes somewhere whatever the rounding.
  constexpr std::size_t kBlock = 1024;
  const auto block_at = [&](std::size_t begin) {
    return weights().subspan(begin, std::min(kBlock, size_ - begin));
  };
  double total = 0;
  for (std::size_t begin = 0; begin < size_; begin += kBlock) total += sum(block_at(begin));
  const double target = uniform * total;

  double reached = 0;
  std::size_t begin = 0;
  for (; begin + kBlock < size_; begin += kBlock) {
    const double block_sum = sum(block_at(begin));
    if (reached + block_sum > target) break;
    reached += block_sum;
  }
  TokenId token = ids_[begin];
  for (std::size_t i = begin; i < std::min(begin + kBlock, size_) && reached <= target; ++i) {
    if (weights_[i] <= 0) continue;
    token = ids_[i];
    reached += static_cast<double>(weights_[i]);
  }
  return token;
}

void Candidates::distribution(double temperature, std::vector<TokenProbability>& out) {
  RIDGELINE_CHECK(size_ > 0);
  weigh(temperature);
  const double total = sum(weights());
  out.clear();
  for (std::size_t i = 0; i < size_; ++i) {
    if (weights_[i] <= 0) continue;
    out.push_back({ids_[i], static_cast<float>(static_cast<double>(weights_[i]) / total)});
  }
}

TokenId draw(std::span<const TokenProbability> distribution, double uniform) {
  RIDGELINE_CHECK(!distribution.empty());
  double total = 0;  // 1, but for rounding
  for (const TokenProbability& p : distribution) total += static_cast<double>(p.probability);
  const double target = uniform * total;
  double reached = 0;
  for (const TokenProbability& p : distribution) {
    reached += static_cast<double>(p.probability);
    if (reached > target) return p.token;
  }
  return distribution.back().token;
}

}  // namespace ridgeline
