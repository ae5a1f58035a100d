#include "ridgeline/text/chat_template.h"

#include <algorithm>

#include "ridgeline/text/jinja/json.h"

namespace ridgeline {
namespace {

using jinja::DictObject;
using jinja::make_string;
using jinja::Value;

/// The names that a message's reasoning goes by: the first is the one that templates read.
constexpr const char* kReasoningFields[] = {"reasoning_content", "thinking", "reasoning"};

Value with_reasoning_names(const Value& message) {
  const Value* reasoning = nullptr;
  for (const char* field : kReasoningFields)
    if (const Value* found = message.dict().find(std::string_view(field));
        reasoning == nullptr && found != nullptr && !found->is_none())
      reasoning = found;
  if (reasoning == nullptr) return message;
  auto named = std::make_shared<DictObject>();
  named->set(make_string("thinking"), *reasoning);  // which gpt-oss reads
  for (const auto& [key, value] : message.dict().entries) named->set(key, value);
  named->set(make_string(kReasoningFields[0]), *reasoning);
  return make_dict(std::move(named));
}

Result<Value> read_messages(const std::string& json) {
  RIDGELINE_TRY(const Value value, jinja::parse_json(json, "messages"));
  if (value.kind() != Value::Kind::kList)
    return fail("messages: expected an array of objects, one per message");
  jinja::Values messages;
  for (const Value& message : value.items()) {
    if (!message.is_dict())
      return fail("messages: number " + std::to_string(messages.size() + 1) +
                  " is no object, expected one with role and content");
    messages.push_back(with_reasoning_names(message));
  }
  return jinja::make_list(std::move(messages));
}

Result<Value> read_list(const std::optional<std::string>& json, const char* what) {
  if (!json) return Value();
  RIDGELINE_TRY(Value value, jinja::parse_json(*json, what));
  if (value.kind() != Value::Kind::kList && !value.is_none())
    return fail(std::string(what) + ": expected an array");
  return value;
}

constexpr ThinkingTags kThinkingTags[] = {
    {"<think>", "</think>"},
    {"<|START_THINKING|>", "<|END_THINKING|>"},
    {"[THINK]", "[/THINK]"},
    {"<seed:think>", "</seed:think>"},
    {"<|channel|>analysis<|message|>", "<|end|>"},
    {"<|channel>thought", "<channel|>"},
    {"<|inner_prefix|>", "<|inner_suffix|>"},
};

}  // namespace

Result<ChatInput> parse_chat_input(std::string_view json) {
  RIDGELINE_TRY(const Value value, jinja::parse_json(json, "the conversation"));
  ChatInput input;
  if (value.kind() == Value::Kind::kList) {
    input.messages = json;
    return input;
  }
  if (!value.is_dict() || value.dict().find("messages") == nullptr)
    return fail("the conversation: expected an array of messages, or an object with \"messages\"");
  jinja::Runtime runtime({}, nullptr);
  for (const auto& [key, field] : value.dict().entries) {
    const std::string& name = key.text();
    if (name == "add_generation_prompt") {
      if (!field.is_bool())
        return fail("the conversation: add_generation_prompt: expected true or false");
      input.add_generation_prompt = field.integer() != 0;
      continue;
    }
    std::string text = jinja::to_json(runtime, field, {}).text();
    if (name == "messages") {
      input.messages = std::move(text);
    } else if (name == "tools") {
      input.tools = std::move(text);
    } else {
      input.variables.emplace_back(name, std::move(text));
    }
  }
  return input;
}

Result<ChatTemplate> ChatTemplate::parse(std::string source, std::string bos_token,
                                         std::string eos_token, std::string name) {
  RIDGELINE_TRY(jinja::Template parsed, jinja::Template::parse(source, std::move(name)));
  return ChatTemplate(std::move(parsed), std::move(source), std::move(bos_token),
                      std::move(eos_token));
}

Result<std::string> ChatTemplate::render(const ChatInput& input, const jinja::Limits& limits,
                                         const jinja::Clock& clock) const {
  auto variables = std::make_shared<DictObject>();
  const auto set = [&variables](std::string_view name, Value value) {
    variables->set(make_string(std::string(name)), std::move(value));
  };
  if (!bos_token_.empty()) set("bos_token", make_string(bos_token_));
  if (!eos_token_.empty()) set("eos_token", make_string(eos_token_));
  RIDGELINE_TRY(Value messages, read_messages(input.messages));
  RIDGELINE_TRY(Value tools, read_list(input.tools, "tools"));
  set("messages", std::move(messages));
  set("tools", std::move(tools));
  set("documents", Value());
  set("add_generation_prompt", Value::boolean(input.add_generation_prompt));
  for (const auto& [name, json] : input.variables) {
    RIDGELINE_TRY(Value value, jinja::parse_json(json, "the variable " + name));
    set(name, std::move(value));
  }
  return template_.render(make_dict(std::move(variables)), limits, clock);
}

bool ChatTemplate::supports_tools() const {
  if (!uses("tools")) return false;
  ChatInput input;
  input.messages = R"([{"role": "user", "content": "Hi"}])";
  input.tools =
      R"([{"type": "function", "function": {"name": "probed_tool", "description": "A tool.",)"
      R"( "parameters": {"type": "object", "properties": {}, "required": []}}}])";
  const Result<std::string> prompt = render(input);
  return prompt && prompt->find("probed_tool") != std::string::npos;
}

bool ChatTemplate::supports_system_role() const {
  ChatInput input;
  const auto appears = [&](const char* content) {
    input.messages = std::string(R"([{"role": "system", "content": )") + content +
                     R"(}, {"role": "user", "content": "Hi"}])";
    const Result<std::string> prompt = render(input);
    return prompt && prompt->find("probed text") != std::string::npos;
  };
  return appears(R"("probed text")") || appears(R"([{"type": "text", "text": "probed text"}])");
}

std::optional<ThinkingTags> ChatTemplate::thinking_tags() const {
  for (const ThinkingTags& tags : kThinkingTags)
    if (source_.find(tags.open) != std::string::npos) return tags;
  return std::nullopt;
}

bool ChatTemplate::ends_in_thinking(std::string_view prompt) const {
  const std::optional<ThinkingTags> tags = thinking_tags();
  if (!tags) return false;
  const std::size_t open = prompt.rfind(tags->open), close = prompt.rfind(tags->close);
  return open != prompt.npos && (close == prompt.npos || close < open);
}

Error no_chat_template(std::string_view model) {
  std::string names;
  for (const std::string_view name : builtin_chat_template_names())
    names += (names.empty() ? "" : ", ") + std::string(name);
  return {std::string(model) +
          ": the model has no chat template; give one with --chat-template, a file or one of " +
          names};
}

}  // namespace ridgeline
