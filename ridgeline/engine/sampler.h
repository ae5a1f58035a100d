#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/candidates.h"
#include "ridgeline/engine/sampling_params.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

/// One token to choose.
struct SampleRequest {
  std::span<float> logits;  ///< one per token of the vocabulary; biased and penalized in place
  std::span<const TokenId>
      history;  ///< prompt, output and, for a drafted position, the draft before it
  std::uint64_t output_position = 0;  ///< tokens of output before this one
  std::uint32_t choice = 0;           ///< which of a request's parallel outputs
};

/// Chooses tokens. What it returns is a function of (params, logits, history, seed,
/// output_position, choice) and of nothing else: the object is scratch memory, taken once,
/// and one of them serves any number of sequences, one call at a time.
///
/// The chain is llama.cpp's: bias, penalties, top-k, typical, top-p, min-p, temperature.
/// At temperature 0 the highest logit after the penalties is taken, of equals the lowest
/// id, and no filter is asked.
class Sampler {
 public:
  /// `end_tokens` end a generation: ignore_eos and min_tokens forbid them.
  explicit Sampler(int vocab_size, std::span<const TokenId> end_tokens = {});

  /// `params` passed validate(). NaN logits count as -inf. Error: no token is left.
  Result<TokenId> sample(const SamplingParams& params, const SampleRequest& request);
  /// Replaces `out` by the probabilities that sample() draws from: those of the tokens that every
  /// filter left, in ascending order of id; of a greedy choice the one token, with 1. Error: no
  /// token is left.
  Status distribution(const SamplingParams& params, const SampleRequest& request,
                      std::vector<TokenProbability>& out);

 private:
  void apply_bias(const SamplingParams& params, const SampleRequest& request);
  void apply_penalties(const SamplingParams& params, const SampleRequest& request);
  /// What the request leaves of the logits, in place.
  void adjust(const SamplingParams& params, const SampleRequest& request);
  /// Leaves in candidates_ what is drawn from; false: nothing.
  bool collect(const SamplingParams& params, std::span<const float> logits);
  std::optional<TokenId> choose(const SamplingParams& params, const SampleRequest& request);
  /// The sentence that none is left.
  std::string no_token(const SampleRequest& request) const;
  void narrow(const SamplingParams& params, std::span<const float> logits, float max);
  void narrow_tail(const SamplingParams& params, std::span<const float> logits, float max);

  std::size_t vocab_size_;
  std::vector<TokenId> end_tokens_;
  Candidates candidates_;
  std::vector<std::uint32_t> occurrences_;  ///< by token; all zero between calls
};

}  // namespace ridgeline
