#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/engine.h"

namespace ridgeline {

/// Tokens that are scored together: the model sees them from position 0, and the
/// predictions of tokens [score_from, end) count.
struct EvalWindow {
  std::vector<TokenId> tokens;
  std::size_t score_from = 1;
};

struct EvalResult {
  double nll = 0;         ///< mean negative log-likelihood, nats per predicted token
  double nll_stderr = 0;  ///< its standard error
  double perplexity = 0;  ///< exp(nll)
  std::int64_t predicted_tokens = 0;
  std::int64_t windows = 0;
};

/// How far a model's predictions are from a base model's, over the scored positions:
/// KL(base || model) = Σ p ln(p / q) over the vocabulary, in nats.
struct DivergenceResult {
  double kl_mean = 0, kl_stderr = 0, kl_median = 0, kl_p99 = 0, kl_max = 0;
  double top1 = 0;  ///< share of positions where both hold the same token for likeliest
  std::int64_t positions = 0;
};

/// Text cut as llama-perplexity cuts it: windows of `context` tokens one after the
/// other, each begun with BOS in place of its first token where the vocabulary adds
/// one, the second half of each window scored. Error: fewer tokens than one window.
Result<std::vector<EvalWindow>> text_windows(const Tokenizer& tokenizer, std::string_view text,
                                             std::int64_t context);

/// One independent sequence a line: a count, then that many ids, of which the first
/// `context` are scored. `name` is for errors, which give the line.
Result<std::vector<EvalWindow>> token_windows(std::string_view lines, const std::string& name,
                                              int vocab_size, std::int64_t context);

/// Error: a window longer than the engine's context, or logits that are not numbers.
Result<EvalResult> evaluate(Engine& engine, const std::vector<EvalWindow>& windows,
                            const std::function<void(double fraction)>& progress);

}  // namespace ridgeline
