#pragma once

#include <string>
#include <vector>

#include "ridgeline/server/openai/generation_fields.h"

namespace ridgeline::openai {

/// A prompt as it came: a text, or tokens.
struct Prompt {
  std::string text;
  std::vector<TokenId> tokens;
  bool is_tokens = false;
};

/// A text, tokens, or an array of either. Empty, with an error in `fields`: something else.
std::vector<Prompt> read_prompts(Fields& fields, std::string_view name, int vocab_size);
inline constexpr std::size_t kMaxPrompts = 2048;

/// POST /v1/completions.
struct CompletionRequest : GenerationRequest {
  std::vector<Prompt> prompts;
  bool echo = false;
  bool scores_only = false;  ///< max_tokens is 0: what is generated is thrown away
  bool shows_logprobs = false;
  int wanted = 1;  ///< n; engine.choices is best_of
};

Checked<CompletionRequest> read_completion_request(const Json& body, const ServedModel& served);

}  // namespace ridgeline::openai
