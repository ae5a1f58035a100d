#pragma once

#include <cstddef>
#include <vector>

#include "ridgeline/tools/divergence.h"
#include "ridgeline/tools/eval.h"

namespace ridgeline {

/// What a model says of every scored token of some windows, kept for others to be held against.
struct BasePredictions {
  std::vector<float> logits;  ///< [tokens][vocab_size]
  double perplexity = 0;

  static std::size_t bytes_of(std::size_t tokens, int vocab_size) {
    return tokens * static_cast<std::size_t>(vocab_size) * sizeof(float);
  }
};

/// How well a model predicts the windows, and how far it is from the base.
struct Quality {
  double perplexity = 0;
  DivergenceResult divergence;
};

/// Scored tokens of all windows.
std::size_t scored_tokens(const std::vector<EvalWindow>& windows);

/// Errors: score_tokens()'s; logits that are not numbers.
Result<BasePredictions> predict_base(Engine& engine, const std::vector<EvalWindow>& windows);
/// `base` is of the same windows, by a model with the same vocabulary.
Result<Quality> compare_with_base(Engine& engine, const std::vector<EvalWindow>& windows,
                                  const BasePredictions& base);

}  // namespace ridgeline
