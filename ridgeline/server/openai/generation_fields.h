#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ridgeline/engine/request.h"
#include "ridgeline/server/openai/constraint.h"
#include "ridgeline/server/openai/fields.h"
#include "ridgeline/server/openai/served_model.h"

namespace ridgeline::openai {

/// What completions, chats and responses have in common.
struct GenerationRequest {
  /// Everything but prompt, grammar and tenant; max_tokens as asked for, -1 if it was not.
  Request engine;
  std::string model;  ///< as the request named it
  bool stream = false;
  bool include_usage = false;     ///< a last chunk with the usage
  bool continuous_usage = false;  ///< in every chunk
  bool include_stop_text = false;
  bool skip_special_tokens = true;
  bool add_special_tokens = true;
  bool return_token_ids = false;
  bool tokens_as_ids = false;                          ///< logprobs name tokens "token_id:15"
  std::optional<std::int64_t> truncate_prompt_tokens;  ///< the last ones are kept
  Constraint constraint;
};

/// Texts to look for at the same time, and the length of each: their cost is linear in both.
inline constexpr std::size_t kMaxStops = 64;
inline constexpr std::size_t kMaxStopBytes = 4096;

/// Reads `model`; an error if it is none that is served.
std::string read_model(Fields& fields, const ServedModel& served);
/// The fields of OpenAI, vLLM and llama-server about sampling, stopping, streaming and
/// scheduling, on top of OpenAI's defaults and the model's own. max_tokens is the caller's.
GenerationRequest read_generation_fields(Fields& fields, const ServedModel& served);
/// How many tokens may come out, in `request.engine`; and that the prompt fits. As vLLM has it:
/// a prompt and max_tokens that together are more than the context are refused.
std::optional<ApiError> fit_to_context(GenerationRequest& request, std::int64_t prompt_tokens,
                                       std::string_view prompt_field,
                                       std::string_view max_tokens_field,
                                       const ServedModel& served);

}  // namespace ridgeline::openai
