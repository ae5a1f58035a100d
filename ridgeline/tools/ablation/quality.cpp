#include "ridgeline/tools/ablation/quality.h"

#include <cmath>

#include "ridgeline/base/check.h"
#include "ridgeline/tools/statistics.h"

namespace ridgeline {

std::size_t scored_tokens(const std::vector<EvalWindow>& windows) {
  std::size_t tokens = 0;
  for (const EvalWindow& window : windows) tokens += window.tokens.size() - window.score_from;
  return tokens;
}

Result<BasePredictions> predict_base(Engine& engine, const std::vector<EvalWindow>& windows) {
  BasePredictions base;
  base.logits.reserve(
      BasePredictions::bytes_of(scored_tokens(windows), engine.config().vocab_size) /
      sizeof(float));
  MeanEstimate nll;
  RIDGELINE_TRY_STATUS(score_tokens(
      engine, windows, {}, [&](TokenId token, std::span<const float> logits) -> Status {
        const double value = negative_log_likelihood(logits, token);
        if (!std::isfinite(value)) return fail("the base's logits are not finite numbers");
        nll.add(value);
        base.logits.insert(base.logits.end(), logits.begin(), logits.end());
        return {};
      }));
  base.perplexity = std::exp(nll.mean());
  return base;
}

Result<Quality> compare_with_base(Engine& engine, const std::vector<EvalWindow>& windows,
                                  const BasePredictions& base) {
  MeanEstimate nll;
  DivergenceStatistics statistics;
  std::span<const float> rest = base.logits;
  RIDGELINE_TRY_STATUS(score_tokens(
      engine, windows, {}, [&](TokenId token, std::span<const float> logits) -> Status {
        RIDGELINE_CHECK(rest.size() >= logits.size());
        const PositionComparison p = compare_position(rest.first(logits.size()), logits, token);
        rest = rest.subspan(logits.size());
        if (!std::isfinite(p.nll) || !std::isfinite(p.kl))
          return fail("the model's logits are not finite numbers");
        nll.add(p.nll);
        statistics.add(p);
        return {};
      }));
  RIDGELINE_CHECK(rest.empty());
  return Quality{std::exp(nll.mean()), statistics.result()};
}

}  // namespace ridgeline
