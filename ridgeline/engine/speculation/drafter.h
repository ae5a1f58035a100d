#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ridgeline/engine/candidates.h"
#include "ridgeline/engine/sampling_params.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

class GrammarMatcher;

/// How sure a drafter is of a token, in its own classes, from 0 on: the length of the match that
/// it follows, the probability that a draft model gave it. What a class is worth is measured.
inline constexpr int kConfidenceClasses = 8;

struct DraftToken {
  TokenId token = 0;
  std::uint8_t confidence = 0;  ///< below kConfidenceClasses
};

/// A guess at what a sequence says next.
struct Draft {
  std::vector<DraftToken> tokens;
  /// What each token was drawn from, for the rejection rule; empty: the drafter was certain.
  std::vector<std::vector<TokenProbability>> distributions;

  void clear() {
    tokens.clear();
    distributions.clear();
  }
};

/// A sequence whose next token is about to be computed, as drafters see it.
struct DraftRequest {
  std::uint64_t sequence = 0;       ///< names it while it lives
  std::span<const TokenId> tokens;  ///< prompt and output so far; only ever appended to
  std::int64_t prompt_tokens = 0;
  std::span<const TokenId> prediction;  ///< what the caller expects as output; may be empty
  const SamplingParams* params = nullptr;
  std::uint32_t choice = 0;
  const GrammarMatcher* grammar = nullptr;  ///< after `tokens`; null: none
  /// Others may learn from its output, and it from theirs: it has no cache salt.
  bool shared = true;
  int most = 0;            ///< tokens to draft at most, at least 1
  Draft* draft = nullptr;  ///< to be filled; empty beforehand
};

/// What it said so far.
inline std::span<const TokenId> output_of(const DraftRequest& request) {
  return request.tokens.subspan(
      std::min(static_cast<std::size_t>(request.prompt_tokens), request.tokens.size()));
}

/// Guesses tokens that the model is likely to say, so that one forward pass can check several.
/// Guesses cost time and never change a text.
class Drafter {
 public:
  virtual ~Drafter() = default;

  virtual std::string_view name() const = 0;
  /// Drafts for each of the sequences as far as it can.
  virtual void draft(std::span<const DraftRequest> requests) = 0;
  /// The sequence is at its end: `request` has all of its tokens.
  virtual void finish(const DraftRequest& request) = 0;
  /// Seconds that draft(requests) will take; 0 for those that only look something up.
  virtual double seconds(std::span<const DraftRequest> requests) const {
    (void)requests;
    return 0;
  }
  /// What one more drafted token takes, each, for so many sequences at once; 0: nothing worth
  /// asking beforehand.
  virtual double seconds_per_token(std::size_t sequences) const {
    (void)sequences;
    return 0;
  }
  virtual std::size_t bytes() const = 0;  ///< of memory, all together
};

}  // namespace ridgeline
