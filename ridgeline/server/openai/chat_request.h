#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ridgeline/server/openai/chat_tools.h"
#include "ridgeline/server/openai/generation_fields.h"

namespace ridgeline::openai {

/// What the template is given.
struct ChatPrompt {
  std::string messages;  ///< JSON, as read_messages() made them
  std::string tools;     ///< JSON; "" if there are none
  std::vector<std::pair<std::string, std::string>> variables;  ///< name and JSON
  bool add_generation_prompt = true;
  bool continue_final_message = false;  ///< the last message is the answer's beginning
};

/// POST /v1/chat/completions, and /v1/responses once it is translated.
struct ChatRequest : GenerationRequest {
  ChatPrompt prompt;
  ToolUse tools;
  bool include_reasoning = true;  ///< vLLM's: false leaves it out of the answer
  bool echo = false;              ///< vLLM's: the last message stands before the answer
  std::string last_message;       ///< its text, with echo
};

Checked<ChatRequest> read_chat_request(const Json& body, const ServedModel& served);
/// messages, tools and the template's variables, which /tokenize takes too.
ChatPrompt read_chat_prompt(Fields& fields, const ServedModel& served);

}  // namespace ridgeline::openai
