#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/engine.h"
#include "ridgeline/model/model_file.h"
#include "ridgeline/tools/divergence.h"
#include "ridgeline/tools/eval_windows.h"

namespace ridgeline {

struct EvalResult {
  double nll = 0;         ///< mean negative log-likelihood, nats per predicted token
  double nll_stderr = 0;  ///< its standard error
  double perplexity = 0;  ///< exp(nll)
  std::int64_t predicted_tokens = 0;
  std::int64_t windows = 0;
};

/// Error: a window longer than the engine's context, or logits that are not numbers.
Result<EvalResult> evaluate(Engine& engine, const std::vector<EvalWindow>& windows,
                            const std::function<void(double fraction)>& progress);

/// visit(token, logits) for every scored token in order, with the logits that predicted it.
/// Error: a window longer than the engine's context, or what visit returns.
Status score_tokens(Engine& engine, const std::vector<EvalWindow>& windows,
                    const std::function<void(double fraction)>& progress,
                    const std::function<Status(TokenId, std::span<const float>)>& visit);

/// A model and what it was made from, on the same text.
struct ComparedEval {
  EvalResult base, model;
  DivergenceResult divergence;
};

/// Both engines go through each window side by side, so that nothing of the base's
/// predictions has to be kept. Errors: evaluate()'s; vocabularies of different sizes.
Result<ComparedEval> evaluate_against(Engine& base, Engine& model,
                                      const std::vector<EvalWindow>& windows,
                                      const std::function<void(double fraction)>& progress);

/// Whether the weights of both have room in memory at once, as evaluate_against() needs.
Status check_both_fit(const ModelFile& base, const ModelFile& model);

/// Whether the same text became the same windows. Error: the first token that differs.
Status check_same_windows(const std::vector<EvalWindow>& base,
                          const std::vector<EvalWindow>& model);

/// {"nll", "nll_stderr", "perplexity"}.
nlohmann::ordered_json to_json(const EvalResult& result);
/// {"kl": {"mean", "stderr", "median", "p99", "max"}, "top1", "top1_stderr", "delta_p": {"mean",
/// "rms"}, "log_perplexity_ratio": {"mean", "stderr"}, "positions"}.
nlohmann::ordered_json to_json(const DivergenceResult& result);

}  // namespace ridgeline
