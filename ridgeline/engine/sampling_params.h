#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

struct LogitBias {
  TokenId token = 0;
  float bias = 0;  ///< added to the logit; -inf forbids the token, +inf leaves only such tokens
};

/// How one request wants its tokens chosen, and when it wants to end. The defaults
/// are llama.cpp's, so that the same flags give the same distribution.
struct SamplingParams {
  // The distribution, in the order in which it is narrowed.
  std::vector<LogitBias> logit_bias;
  double repetition_penalty = 1.0;  ///< logits of seen tokens: positive / r, others * r; 1 = off
  double presence_penalty = 0.0;    ///< subtracted once from a seen token's logit
  double frequency_penalty = 0.0;   ///< subtracted once per occurrence
  int repeat_last_n = 64;    ///< tokens of history, prompt included, that the three penalties look
                             ///< at; 0 = none, -1 = all
  int top_k = 40;            ///< 0 = off
  double typical_p = 1.0;    ///< locally typical sampling; 1 = off
  double top_p = 0.95;       ///< 1 = off
  double min_p = 0.05;       ///< 0 = off
  double temperature = 0.8;  ///< 0 = greedy: the highest logit after bias and penalties

  std::uint64_t seed = 0;  ///< whoever wants another text each time draws it

  // The end.
  int max_tokens = -1;  ///< -1 = until the model or the context ends
  int min_tokens = 0;   ///< no end of generation and no stop_token_ids before so many tokens
  bool ignore_eos = false;
  std::vector<std::string> stop;  ///< may span tokens; not part of the output
  std::vector<TokenId> stop_token_ids;

  bool is_greedy() const { return temperature == 0.0; }
};

/// The first field out of range, named. Token ids are held against `vocab_size`,
/// which a caller without a model leaves out.
Status validate(const SamplingParams& params, int vocab_size = std::numeric_limits<int>::max());

}  // namespace ridgeline
