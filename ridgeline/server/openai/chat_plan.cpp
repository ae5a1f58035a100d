#include "ridgeline/server/openai/chat_plan.h"

#include <nlohmann/json.hpp>

#include "ridgeline/text/tool_calls/call_grammar.h"

namespace ridgeline::openai {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

/// Ends the prompt behind the last message's content, as transformers does it: whatever the
/// template closes a message with is cut off.
Checked<std::string> cut_behind_last_message(std::string text, const std::string& messages) {
  const Json last = Json::parse(messages).back();
  const Json& content = last["content"];
  const std::string whole =
      content.is_string() ? content.get<std::string>() : content[0]["text"].get<std::string>();
  const std::string_view inner = trimmed(whole);
  const std::size_t at = text.rfind(inner);
  if (inner.empty() || at == text.npos)
    return tl::make_unexpected(
        invalid("continue_final_message",
                "continue_final_message is true, but the chat template does not show the last "
                "message's content as it is"));
  // White space at its end stays if the template has left it there.
  std::size_t end = at + inner.size();
  const std::size_t tail = static_cast<std::size_t>(inner.data() - whole.data()) + inner.size();
  const std::string_view space = std::string_view(whole).substr(tail);
  if (std::string_view(text).substr(end).starts_with(space)) end += space.size();
  text.resize(end);
  return text;
}

/// The grammar of an answer that may be a call, must be one, or has a format of its own.
Result<Grammar::Ptr> answer_grammar(const ChatRequest& request, const OutputFormat& output,
                                    GrammarCache& grammars) {
  const ToolUse& tools = request.tools;
  const auto calls = [&] { return tool_call_grammar(output.calls, tools.functions); };
  if (tools.choice == ToolUse::Choice::kRequired) return calls();
  RIDGELINE_TRY(Grammar::Ptr format, compile(request.constraint, grammars));
  if (output.harmony) {
    RIDGELINE_TRY(Grammar::Ptr channel, Grammar::literal("<|channel|>final<|message|>"));
    RIDGELINE_TRY(format, Grammar::sequence({channel, format}));
  }
  if (tools.choice == ToolUse::Choice::kNone) return format;
  RIDGELINE_TRY(Grammar::Ptr call, calls());
  return Grammar::any_of({format, call});
}

/// Everything that answer_grammar() and behind_reasoning() look at.
std::string grammar_key(const ChatRequest& request, const OutputFormat& output, bool may_think) {
  Json key = {static_cast<int>(request.tools.choice),
              static_cast<int>(output.calls),
              static_cast<int>(request.constraint.kind),
              request.constraint.text,
              output.inside_thinking,
              may_think};
  for (const ToolFunction& f : request.tools.functions) key.push_back({f.name, f.parameters});
  return "chat:" + dump(key);
}

}  // namespace

Checked<std::string> render_chat(const ChatPrompt& prompt, const ServedModel& served) {
  ChatInput input;
  input.messages = prompt.messages;
  if (!prompt.tools.empty()) input.tools = prompt.tools;
  input.variables = prompt.variables;
  input.add_generation_prompt = prompt.add_generation_prompt;
  Result<std::string> text = served.chat_template->render(input);
  if (!text)
    return tl::make_unexpected(
        invalid("messages", "The chat template refuses the messages: " + text.error().message));
  if (prompt.continue_final_message)
    return cut_behind_last_message(*std::move(text), prompt.messages);
  return *std::move(text);
}

std::vector<TokenId> chat_tokens(const std::string& text, bool add_special_tokens,
                                 const Tokenizer& tokenizer) {
  Tokenizer::EncodeOptions options;
  options.parse_special = true;
  options.add_eos = false;
  if (!add_special_tokens) options.add_bos = false;
  std::vector<TokenId> tokens = tokenizer.encode(text, options);
  const auto bos = tokenizer.data().bos;
  if (add_special_tokens && bos && tokens.size() > 1 && tokens[0] == *bos && tokens[1] == *bos)
    tokens.erase(tokens.begin());
  return tokens;
}

void truncate(std::vector<TokenId>& prompt, const GenerationRequest& request) {
  if (!request.truncate_prompt_tokens) return;
  const auto keep = static_cast<std::size_t>(*request.truncate_prompt_tokens);
  if (prompt.size() > keep)
    prompt.erase(prompt.begin(), prompt.end() - static_cast<std::ptrdiff_t>(keep));
}

Checked<ChatPlan> plan_chat(const ChatRequest& request, const ServedModel& served,
                            GrammarCache& grammars) {
  RIDGELINE_TRY(const std::string text, render_chat(request.prompt, served));
  ChatPlan plan;
  plan.prompt = chat_tokens(text, request.add_special_tokens, *served.tokenizer);
  truncate(plan.prompt, request);

  const ThinkingTags tags = served.chat_template->thinking_tags().value_or(ThinkingTags{});
  OutputFormat& output = plan.output;
  output.harmony =
      tags.open.starts_with("<|channel|>") || served.tool_calls == ToolCallFormat::kHarmony;
  if (!output.harmony) {
    output.thinking_open = tags.open;
    output.thinking_close = tags.close;
    output.inside_thinking = served.chat_template->ends_in_thinking(text);
  }
  const bool has_calls = request.tools.choice != ToolUse::Choice::kNone;
  if (has_calls) {
    output.calls = served.tool_calls;
    output.functions = request.tools.functions;
  }
  if (request.tools.choice != ToolUse::Choice::kRequired && !request.constraint) return plan;

  // A prompt that has closed the reasoning already has asked for none.
  const bool may_think =
      output.thinking_close.empty() || !trimmed(text).ends_with(output.thinking_close);
  Result<Grammar::Ptr> grammar =
      grammars.get(grammar_key(request, output, may_think), [&]() -> Result<Grammar::Ptr> {
        RIDGELINE_TRY(Grammar::Ptr answer, answer_grammar(request, output, grammars));
        return behind_reasoning(std::move(answer), output, may_think, *served.tokenizer);
      });
  if (!grammar) {
    const bool of_format = static_cast<bool>(request.constraint);
    const std::string param = of_format ? request.constraint.param : "tools";
    return tl::make_unexpected(
        invalid(param, param + ": " + grammar.error().message, "unsupported_grammar"));
  }
  plan.grammar = *std::move(grammar);
  return plan;
}

}  // namespace ridgeline::openai
