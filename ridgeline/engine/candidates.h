#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

struct TokenProbability {
  TokenId token = 0;
  float probability = 0;
};

/// The token at which the cumulative probability of `distribution`, which is not empty and adds up
/// to 1, exceeds `uniform`, of [0, 1).
TokenId draw(std::span<const TokenProbability> distribution, double uniform);

/// The tokens that may still be drawn, narrowed filter by filter. Room for a whole
/// vocabulary is taken once; nothing allocates afterwards.
///
/// Tokens stay in ascending order of id: every filter first finds the value at which it
/// cuts, then compacts. Nothing is sorted, sums have one order, and of equally probable
/// tokens the lowest ids are kept.
///
///     ids_     [ 3    17    20    901 ]
///     gaps_    [ 0.4  0     2.1   0.4 ]   max_logit - logit, >= 0
///     weights_ [ ...                  ]   exp(-gap / temperature), as the last weigh() left it
class Candidates {
 public:
  explicit Candidates(int vocab_size);

  /// All tokens above `threshold` and the first `ties_max` of those equal to it; never a
  /// token at -inf or NaN. `max` is max_logit(logits). Replaces what was there.
  void collect(std::span<const float> logits, float max,
               float threshold = -std::numeric_limits<float>::infinity(), std::size_t ties_max = 0);
  /// The k most probable tokens, k > 0.
  void collect_top_k(std::span<const float> logits, float max, std::size_t k);

  /// Locally typical sampling (Meister et al. 2023): the tokens whose surprise is
  /// nearest to the entropy, until their probabilities reach p.
  void keep_typical(double p);
  /// Nucleus sampling (Holtzman et al. 2020): the most probable tokens, until their weights
  /// reach p * total. `total` is the weight of everything that p is a share of, where that is
  /// more than what was collected.
  void keep_top_p(double p);
  void keep_top_p(double p, double total);
  /// The tokens at least p times as probable as the most probable one.
  void keep_min_p(double p);

  /// The token at which the cumulative probability exceeds `uniform`, of [0, 1).
  TokenId draw(double temperature, double uniform);
  /// Replaces `out` by what draw() draws from, in ascending order of id.
  void distribution(double temperature, std::vector<TokenProbability>& out);

  std::size_t size() const { return size_; }
  std::span<const TokenId> ids() const { return std::span(ids_).first(size_); }

 private:
  std::span<float> gaps() { return std::span(gaps_).first(size_); }
  std::span<float> weights() { return std::span(weights_).first(size_); }

  void weigh(double temperature);
  std::span<const double> weigh_bins(std::span<const float> keys, std::uint32_t prefix, int shift,
                                     int digit_bits);
  void keep_mass(std::vector<float>& keys, double target);
  template <class Keep>
  void compact(std::vector<float>& keys, Keep keep);

  std::size_t size_ = 0;
  std::vector<TokenId> ids_;
  std::vector<float> gaps_;
  std::vector<float> weights_;
  std::vector<float> surprises_;  ///< typical: distance of the surprise from the entropy
  std::vector<double> mass_;      ///< histogram of weights by key
};

}  // namespace ridgeline
