#pragma once

#include <string>

#include "ridgeline/server/openai/chat_request.h"

namespace ridgeline::openai {

/// POST /v1/responses: what is asked, as a chat, and what the answer repeats of it.
struct ResponsesRequest {
  ChatRequest chat;
  /// JSON, as the client wrote it or as OpenAI's default has it.
  std::string instructions = "null", metadata = "{}", tools = "[]", tool_choice = "\"auto\"";
  std::string text, reasoning, max_output_tokens = "null", user = "null";
  bool logprobs = false;
};

/// Answers are not stored: previous_response_id, conversation and store: true are refused.
Checked<ResponsesRequest> read_responses_request(const Json& body, const ServedModel& served);
/// An error of the chat that it was made, in the names that the client used.
ApiError responses_error(ApiError error);

}  // namespace ridgeline::openai
