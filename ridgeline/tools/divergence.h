#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ridgeline/text/vocabulary.h"
#include "ridgeline/tools/statistics.h"

namespace ridgeline {

/// How far a model's predictions are from a base model's, over the scored positions.
/// p is the base's probability of a token, q the model's.
///
/// KL(base || model) = Σ p ln(p / q) over the vocabulary, in nats. Percentiles interpolate
/// between the two neighbours in order: that of a share f of n values lies at f · (n - 1),
/// counted from 0 (Hyndman and Fan 1996, definition 7; llama-perplexity and numpy do the same).
struct DivergenceResult {
  double kl_mean = 0, kl_stderr = 0, kl_median = 0, kl_p99 = 0, kl_max = 0;
  double top1 = 0;  ///< share of positions where both hold the same token for likeliest
  double top1_stderr = 0;
  /// q - p of the token that came: whether the model's guess got worse (mean), and how much
  /// it moved (root of the mean square).
  double delta_p_mean = 0, delta_p_rms = 0;
  /// ln(perplexity / perplexity of the base), and its standard error, which is far below
  /// those of the two perplexities, as both are of the same positions.
  double log_perplexity_ratio = 0, log_perplexity_ratio_stderr = 0;
  std::int64_t positions = 0;
};

/// -ln of the probability that the logits give `token`. Not finite if the logits are not.
double negative_log_likelihood(std::span<const float> logits, TokenId token);

/// What two models say of one position.
struct PositionComparison {
  double base_nll = 0, nll = 0;  ///< of the token that came
  double kl = 0;
  bool same_top = false;  ///< of equal logits the first is the likeliest
};
/// In double precision and on logarithms, so that a token counts where exp() of its
/// logit is 0. A base's logit of minus infinity is a token that cannot come.
PositionComparison compare_position(std::span<const float> base, std::span<const float> model,
                                    TokenId token);

class DivergenceStatistics {
 public:
  void add(const PositionComparison& position);
  DivergenceResult result() const;

 private:
  std::vector<double> kl_;
  MeanEstimate kl_mean_, delta_p_, log_ratio_;
  double delta_p_squares_ = 0;
  std::int64_t same_top_ = 0;
};

}  // namespace ridgeline
