#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/engine/request.h"
#include "ridgeline/server/openai/choice_reader.h"
#include "ridgeline/server/openai/json_body.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline::openai {

/// What all answers are written with.

struct Usage {
  std::int64_t prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0, reasoning_tokens = 0;
  /// Of requests that have ended; absent: none has.
  std::optional<SpeculationCounts> speculation;
};
Json usage_json(const Usage& usage);
/// Takes what a request's last event says of its drafts.
void add_speculation(std::optional<SpeculationCounts>& sum, const TokenEvent& event);
/// Our own part of a usage; nothing where no draft could have been checked.
void write_speculation(const std::optional<SpeculationCounts>& counts, Json& usage);

/// `prefix` and 24 random letters and digits.
std::string new_id(std::string_view prefix, int length = 24);
std::int64_t unix_seconds();

/// What tokens are called in logprobs.
struct TokenNames {
  const Tokenizer* tokenizer = nullptr;
  bool as_ids = false;  ///< "token_id:15"

  std::string name(TokenId token) const;    ///< may not be UTF-8
  std::string legacy(TokenId token) const;  ///< that is then "bytes:\xe2"
  Json bytes(TokenId token) const;
};

/// Of chat completions: {"content": [...], "refusal": null}.
Json chat_logprobs(const std::vector<TokenLogprobs>& tokens, const TokenNames& names);

/// Of completions, appended to from one delta to the next.
class LegacyLogprobs {
 public:
  explicit LegacyLogprobs(TokenNames names) : names_(names) {}
  /// Of echo: the first token of a prompt has none.
  void add_unknown(TokenId token);
  void add(const TokenLogprobs& token);
  /// What was added since the last time.
  Json take();

 private:
  void add_text(const std::string& text);

  TokenNames names_;
  std::vector<std::string> tokens_;
  std::vector<std::int64_t> offsets_;
  std::vector<double> logprobs_;  ///< NaN: unknown
  std::vector<TokenLogprobs> entries_;
  std::int64_t offset_ = 0;
};

/// vLLM's prompt_logprobs: [null, {"15": {"logprob": …, "rank": …, "decoded_token": …}}, …].
Json prompt_logprobs_json(const std::vector<TokenLogprobs>& tokens, const TokenNames& names);

/// vLLM's stop_reason: the stop string or the stop token, else null.
Json stop_reason_json(const ChoiceReader& choice);

}  // namespace ridgeline::openai
