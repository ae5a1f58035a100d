#include "ridgeline/server/openai/chat_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ridgeline/server/openai/chat_messages.h"

namespace ridgeline::openai {
namespace {

/// What OpenAI's servers do and this one does not.
constexpr RefusedField kRefused[] = {
    {"audio", "", "this model writes only text"},
    {"modalities", "[\"text\"]", "this model writes only text"},
    {"functions", "[]", "it is deprecated, use tools"},
    {"function_call", "\"none\" \"auto\"", "it is deprecated, use tool_choice"},
    {"web_search_options", "", "there is no web search"},
    {"store", "false", "answers are not stored"},
    {"moderation", "", "there is no moderation"},
    {"verbosity", "\"medium\"", "the model does not know it"},
    {"service_tier", "\"auto\" \"default\"", "use priority"},
    {"chat_template", "", "the server's --chat-template is used"},
    {"best_of", "1", "use n"},
    {"suffix", "\"\"", "this server does not fill in the middle"},
    {"mm_processor_kwargs", "{}", "there is no input but text"},
    {"thinking_token_budget", "", "max_completion_tokens limits both reasoning and answer"},
};

void read_variables(Fields& fields, const ServedModel& served, ChatPrompt& prompt) {
  if (const Json* documents = fields.array("documents"))
    prompt.variables.emplace_back("documents", dump(*documents));
  if (const auto effort = fields.text("reasoning_effort")) {
    const bool known = served.chat_template && served.chat_template->uses("reasoning_effort");
    if (known) prompt.variables.emplace_back("reasoning_effort", dump(Json(*effort)));
    // As a wish it may be ignored, but "none" asks for another answer.
    if (!known && *effort == "none") {
      if (served.chat_template && served.chat_template->uses("enable_thinking"))
        prompt.variables.emplace_back("enable_thinking", "false");
      else if (served.chat_template && served.chat_template->thinking_tags())
        fields.fail("reasoning_effort", "is none, but this model always reasons",
                    "unsupported_value");
    }
  }
  const Json* given = fields.object("chat_template_kwargs");
  if (given == nullptr) return;
  constexpr std::string_view kOurs[] = {"messages", "tools", "add_generation_prompt", "bos_token",
                                        "eos_token"};
  for (const auto& [name, value] : given->items()) {
    if (std::ranges::find(kOurs, name) != std::end(kOurs))
      return fields.fail("chat_template_kwargs", "sets " + name + ", which is the server's to set");
    std::erase_if(prompt.variables, [&](const auto& v) { return v.first == name; });
    prompt.variables.emplace_back(name, dump(value));
  }
}

}  // namespace

ChatPrompt read_chat_prompt(Fields& fields, const ServedModel& served) {
  ChatPrompt prompt;
  if (!served.chat_template) {
    fields.fail_with(invalid("messages", no_chat_template(served.names.front()).message));
    return prompt;
  }
  const Json messages = read_messages(fields, "messages", served);
  prompt.messages = dump(messages);
  prompt.continue_final_message = fields.boolean("continue_final_message").value_or(false);
  prompt.add_generation_prompt =
      fields.boolean("add_generation_prompt").value_or(!prompt.continue_final_message);
  if (prompt.continue_final_message && prompt.add_generation_prompt)
    fields.fail("continue_final_message",
                "and add_generation_prompt are both true; expected one of them");
  if (prompt.continue_final_message && fields.ok() && messages.back()["role"] != "assistant")
    fields.fail("continue_final_message",
                "is true, but the last message is not one of the role assistant");
  read_variables(fields, served, prompt);
  return prompt;
}

Checked<ChatRequest> read_chat_request(const Json& body, const ServedModel& served) {
  std::optional<ApiError> error;
  Fields fields(body, "", error);
  ChatRequest request;
  static_cast<GenerationRequest&>(request) = read_generation_fields(fields, served);
  fields.refuse(kRefused);
  request.prompt = read_chat_prompt(fields, served);
  request.tools = read_tools(fields, served);
  request.prompt.tools = request.tools.json;
  request.add_special_tokens = fields.boolean("add_special_tokens").value_or(false);
  request.include_reasoning = fields.boolean("include_reasoning").value_or(true);
  request.echo = fields.boolean("echo").value_or(false);
  if (request.echo && fields.ok()) {
    const Json messages = Json::parse(request.prompt.messages);
    const Json& content = messages.back()["content"];
    request.last_message =
        content.is_string() ? content.get<std::string>() : content[0]["text"].get<std::string>();
  }

  const auto completion_tokens =
      fields.integer("max_completion_tokens", 1, std::numeric_limits<int>::max());
  const auto max_tokens = fields.integer("max_tokens", 1, std::numeric_limits<int>::max());
  request.engine.params.max_tokens =
      static_cast<int>(completion_tokens.value_or(max_tokens.value_or(-1)));

  const bool logprobs = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, kMaxLogprobs);
  if (top && *top > 0 && !logprobs)
    fields.fail("top_logprobs", "is given without logprobs: true; expected both");
  if (logprobs) request.engine.logprobs = static_cast<int>(top.value_or(0));

  if (request.tools.choice == ToolUse::Choice::kRequired && request.constraint)
    fields.fail(request.constraint.param,
                "is given although tool_choice asks for a call, whose arguments are constrained "
                "by the tool's parameters");
  if (error) return tl::make_unexpected(*std::move(error));
  return request;
}

}  // namespace ridgeline::openai
