#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ridgeline/server/openai/chat_request.h"
#include "ridgeline/text/tool_calls/output_parser.h"

namespace ridgeline::openai {

/// What is known of a chat request once its template is rendered.
struct ChatPlan {
  std::vector<TokenId> prompt;
  OutputFormat output;
  Grammar::Ptr grammar;  ///< null: anything
};

/// The text that the model reads.
Checked<std::string> render_chat(const ChatPrompt& prompt, const ServedModel& served);
/// Its tokens. Templates write the first token where the model wants one; it is not doubled.
std::vector<TokenId> chat_tokens(const std::string& text, bool add_special_tokens,
                                 const Tokenizer& tokenizer);
Checked<ChatPlan> plan_chat(const ChatRequest& request, const ServedModel& served,
                            GrammarCache& grammars);

/// The last `truncate_prompt_tokens`, if that is asked for.
void truncate(std::vector<TokenId>& prompt, const GenerationRequest& request);

}  // namespace ridgeline::openai
