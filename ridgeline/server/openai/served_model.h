#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/engine/request.h"
#include "ridgeline/engine/engine.h"
#include "ridgeline/text/chat_template.h"
#include "ridgeline/text/tokenizer.h"
#include "ridgeline/text/tool_calls/tool_call_format.h"

namespace ridgeline::openai {

/// What the endpoints know of the model. Read by any thread, changed by none.
struct ServedModel {
  const Tokenizer* tokenizer = nullptr;
  std::int64_t context = 0;  ///< positions of one sequence
  GenerationDefaults defaults;
  std::optional<ChatTemplate> chat_template;
  ToolCallFormat tool_calls = ToolCallFormat::kNone;
  bool template_takes_tools = false;
  bool template_wants_parts = false;  ///< it reads a message's content as a list of parts only
  bool generates = true;              ///< false: an encoder, which only embeds
  std::int64_t embedding_size = 0;

  std::vector<std::string> names;  ///< that requests may call it by; the first is its own
  std::string path;                ///< vLLM's `root`
  std::int64_t created = 0;        ///< Unix seconds
  std::string fingerprint;         ///< OpenAI's system_fingerprint

  /// 0: as many as the context holds.
  std::int64_t max_prompt_tokens = 0, max_output_tokens = 0;
  Deadlines deadlines{};  ///< of requests that say nothing; a request can only shorten them
};

/// Fills what follows from the template: which calls it writes, what it takes. `parser` overrides
/// the format of calls ("" : by the template). Errors: it is none of the names.
Status adopt_chat_template(ServedModel& model, std::optional<ChatTemplate> chat_template,
                           std::string_view parser);

}  // namespace ridgeline::openai
