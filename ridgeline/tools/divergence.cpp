#include "ridgeline/tools/divergence.h"

#include <algorithm>
#include <cmath>

namespace ridgeline {
namespace {

/// A row of logits as its largest one and ln Σ exp(logit - largest).
struct Normalizer {
  std::size_t top = 0;
  double max = 0, log_sum = 0;

  double nll(float logit) const { return log_sum - (static_cast<double>(logit) - max); }
};

std::size_t index_of_largest(std::span<const float> logits) {
  return static_cast<std::size_t>(std::ranges::max_element(logits) - logits.begin());
}

Normalizer normalizer(std::span<const float> logits) {
  Normalizer n;
  n.top = index_of_largest(logits);
  n.max = static_cast<double>(logits[n.top]);
  double sum = 0;
  for (const float l : logits) sum += std::exp(static_cast<double>(l) - n.max);
  n.log_sum = std::log(sum);
  return n;
}

}  // namespace

double negative_log_likelihood(std::span<const float> logits, TokenId token) {
  return normalizer(logits).nll(logits[static_cast<std::size_t>(token)]);
}

PositionComparison compare_position(std::span<const float> base, std::span<const float> model,
                                    TokenId token) {
  const Normalizer q = normalizer(model);
  Normalizer p;
  p.top = index_of_largest(base);
  p.max = static_cast<double>(base[p.top]);
  // With b and m, the logits less their maxima, ln(p / q) is b - m plus a constant.
  double sum = 0, weighted = 0;
  for (std::size_t i = 0; i < base.size(); ++i) {
    const double b = static_cast<double>(base[i]) - p.max;
    const double e = std::exp(b);
    sum += e;
    if (e != 0) weighted += e * (b - (static_cast<double>(model[i]) - q.max));
  }
  p.log_sum = std::log(sum);

  PositionComparison result;
  const auto next = static_cast<std::size_t>(token);
  result.base_nll = p.nll(base[next]);
  result.nll = q.nll(model[next]);
  result.kl = weighted / sum + q.log_sum - p.log_sum;
  if (result.kl < 0) result.kl = 0;  // by rounding
  result.same_top = p.top == q.top;
  return result;
}

void DivergenceStatistics::add(const PositionComparison& position) {
  kl_.push_back(position.kl);
  kl_mean_.add(position.kl);
  const double delta_p = std::exp(-position.nll) - std::exp(-position.base_nll);
  delta_p_.add(delta_p);
  delta_p_squares_ += delta_p * delta_p;
  log_ratio_.add(position.nll - position.base_nll);
  same_top_ += position.same_top;
}

DivergenceResult DivergenceStatistics::result() const {
  DivergenceResult r;
  r.positions = kl_mean_.count();
  if (r.positions == 0) return r;
  std::vector<double> sorted = kl_;
  std::ranges::sort(sorted);
  r.kl_mean = kl_mean_.mean();
  r.kl_stderr = kl_mean_.standard_error();
  r.kl_median = percentile(sorted, 0.5);
  r.kl_p99 = percentile(sorted, 0.99);
  r.kl_max = sorted.back();
  const auto n = static_cast<double>(r.positions);
  r.top1 = static_cast<double>(same_top_) / n;
  if (r.positions > 1) r.top1_stderr = std::sqrt(r.top1 * (1 - r.top1) / (n - 1));
  r.delta_p_mean = delta_p_.mean();
  r.delta_p_rms = std::sqrt(delta_p_squares_ / n);
  r.log_perplexity_ratio = log_ratio_.mean();
  r.log_perplexity_ratio_stderr = log_ratio_.standard_error();
  return r;
}

}  // namespace ridgeline
