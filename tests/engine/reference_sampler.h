#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <vector>

#include "ridgeline/engine/sampling_params.h"

namespace ridgeline::test {

/// The sampling chain as its definitions read, in double precision over sorted lists.
/// `ambiguous` says that a filter's boundary lies within rounding of the target, so that a
/// float implementation may rightly keep one token more or less.
class ReferenceSampler {
 public:
  struct Token {
    TokenId id;
    double logit;
  };

  explicit ReferenceSampler(std::span<const float> logits) {
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const double logit = static_cast<double>(logits[i]);
      if (logit > -std::numeric_limits<double>::infinity()) {
        tokens_.push_back({static_cast<TokenId>(i), logit});
      }
    }
    std::ranges::stable_sort(tokens_, [](Token a, Token b) { return a.logit > b.logit; });
  }

  void top_k(int k) {
    if (k > 0 && static_cast<std::size_t>(k) < tokens_.size()) {
      tokens_.resize(static_cast<std::size_t>(k));
    }
  }

  void typical(double p) {
    if (p >= 1) return;
    const std::vector<double> probabilities = softmax(1.0);
    double entropy = 0;
    for (const double q : probabilities) entropy -= q > 0 ? q * std::log(q) : 0;
    struct Scored {
      Token token;
      double probability, score;
    };
    std::vector<Scored> scored;
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      const double score = std::fabs(-std::log(probabilities[i]) - entropy);
      scored.push_back({tokens_[i], probabilities[i], score});
    }
    // Equal logits have equal scores, up to rounding, and go by id.
    std::ranges::stable_sort(scored, [](const Scored& a, const Scored& b) {
      if (a.token.logit == b.token.logit) return a.token.id < b.token.id;
      return a.score < b.score;
    });
    std::vector<double> sorted;
    for (const Scored& s : scored) sorted.push_back(s.probability);
    const std::size_t kept = reach(sorted, p);
    if (kept < scored.size()) {
      const Scored &last = scored[kept - 1], &next = scored[kept];
      if (last.token.logit != next.token.logit && next.score - last.score < 1e-4) ambiguous_ = true;
    }
    tokens_.clear();
    for (std::size_t i = 0; i < kept; ++i) tokens_.push_back(scored[i].token);
    std::ranges::sort(tokens_, [](Token a, Token b) {
      return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
    });
  }

  void top_p(double p) {
    if (p < 1) tokens_.resize(reach(softmax(1.0), p));
  }

  void min_p(double p) {
    if (p <= 0) return;
    const double lowest = tokens_[0].logit + std::log(p);
    for (const Token& token : tokens_) {
      if (std::fabs(token.logit - lowest) < 1e-4 && p < 1) ambiguous_ = true;
    }
    std::erase_if(tokens_, [&](Token token) { return token.logit < lowest; });
  }

  void narrow(const SamplingParams& params) {
    top_k(params.top_k);
    typical(params.typical_p);
    top_p(params.top_p);
    min_p(params.min_p);
  }

  /// By id, ascending.
  std::map<TokenId, double> distribution(double temperature) const {
    const std::vector<double> probabilities = softmax(temperature);
    std::map<TokenId, double> result;
    for (std::size_t i = 0; i < tokens_.size(); ++i) result[tokens_[i].id] = probabilities[i];
    return result;
  }

  std::vector<TokenId> ids() const {
    std::vector<TokenId> result;
    for (const Token& token : tokens_) result.push_back(token.id);
    std::ranges::sort(result);
    return result;
  }

  bool ambiguous() const { return ambiguous_; }

 private:
  std::vector<double> softmax(double temperature) const {
    std::vector<double> result;
    double total = 0;
    for (const Token& token : tokens_) {
      result.push_back(std::exp((token.logit - tokens_[0].logit) / temperature));
      total += result.back();
    }
    for (double& q : result) q /= total;
    return result;
  }

  // How many of the first probabilities it takes to reach p, at least one.
  std::size_t reach(const std::vector<double>& probabilities, double p) {
    double sum = 0;
    for (std::size_t i = 0; i < probabilities.size(); ++i) {
      sum += probabilities[i];
      if (std::fabs(sum - p) < 1e-5) ambiguous_ = true;
      if (sum >= p) return i + 1;
    }
    return probabilities.size();
  }

  std::vector<Token> tokens_;  // descending by logit, ascending by id
  bool ambiguous_ = false;
};

/// Pearson's statistic against its 1 - 1e-6 quantile (Wilson and Hilferty 1931): with fixed
/// seeds the outcome is fixed, and a right sampler had one chance in a million to fail.
inline void expect_distribution(const std::map<TokenId, int>& counts,
                                const std::map<TokenId, double>& expected) {
  double draws = 0;
  for (const auto& [token, count] : counts) {
    draws += count;
    EXPECT_TRUE(expected.contains(token)) << "token " << token << " was drawn";
  }
  double statistic = 0, rest_expected = 0, rest_counted = 0;
  int cells = 0;
  const auto add = [&](double counted, double wanted) {
    statistic += (counted - wanted) * (counted - wanted) / wanted;
    ++cells;
  };
  for (const auto& [token, probability] : expected) {
    const auto found = counts.find(token);
    const double counted = found == counts.end() ? 0 : found->second;
    if (probability * draws >= 10) {
      add(counted, probability * draws);
    } else {  // too rare for a cell of its own
      rest_expected += probability * draws;
      rest_counted += counted;
    }
  }
  if (rest_expected >= 5) add(rest_counted, rest_expected);
  if (cells < 2) return;
  const double freedom = cells - 1, variance = 2.0 / (9.0 * freedom);
  const double quantile = freedom * std::pow(1 - variance + 4.753 * std::sqrt(variance), 3);
  EXPECT_LT(statistic, quantile) << freedom << " degrees of freedom";
}

}  // namespace ridgeline::test
