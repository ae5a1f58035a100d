#include "ridgeline/server/openai/responses_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace ridgeline::openai {
namespace {

constexpr RefusedField kRefused[] = {
    {"previous_response_id", "", "answers are not stored; send the whole conversation as input"},
    {"conversation", "", "conversations are not stored; send the whole conversation as input"},
    {"store", "false", "answers are not stored"},
    {"background", "false", "answers are not stored"},
    {"prompt", "", "there are no stored prompts; send input and instructions"},
    {"truncation", "\"disabled\"", "an input that is too long is an error"},
    {"context_management", "[]", "an input that is too long is an error"},
    {"n", "1", "a response has one answer"},
    {"messages", "", "the conversation is input"},
    {"max_tokens", "", "use max_output_tokens"},
    {"max_completion_tokens", "", "use max_output_tokens"},
    {"response_format", "", "use text.format"},
    {"echo", "false", "/v1/completions has it"},
    {"prompt_logprobs", "", "/v1/completions and /v1/chat/completions have it"},
};

/// Fields that are translated here, or say nothing to the model.
constexpr std::array<std::string_view, 16> kOurs = {
    "input",    "instructions",   "tools",        "tool_choice",
    "text",     "reasoning",      "include",      "max_output_tokens",
    "metadata", "stream_options", "top_logprobs", "max_tool_calls",
    "store",    "background",     "truncation",   "prompt_cache_key"};

/// The conversation: items, each a message or what stands between messages.
class Conversation {
 public:
  explicit Conversation(Fields& body) : body_(body) {}

  void add_system(const std::string& text) {
    add({{"role", "system"}, {"content", text}}, "instructions");
  }
  void add_user(const std::string& text) { add({{"role", "user"}, {"content", text}}, "input"); }

  void add_item(const Json& item, std::size_t index) {
    const std::string at = fmt::format("input[{}]", index);
    if (!item.is_object()) return body_.fail_type(at, item, "an object");
    Fields fields = body_.within(item, at);
    const std::string type = fields.text("type").value_or("message");
    if (type == "message") {
      Json message{{"role", item.value("role", Json())},
                   {"content", item.value("content", Json())}};
      if (message["role"] == "assistant" && !reasoning_.empty())
        message["reasoning_content"] = std::exchange(reasoning_, {});
      add(std::move(message), at);
    } else if (type == "function_call") {
      add_call(fields, at);
    } else if (type == "function_call_output") {
      const auto id = fields.text("call_id");
      if (!id) return fields.fail("call_id", "is missing; expected that of the call");
      const Json* output = fields.find("output");
      if (output == nullptr) return fields.fail("output", "is missing; expected a string");
      add({{"role", "tool"}, {"tool_call_id", *id}, {"content", *output}}, at);
    } else if (type == "reasoning") {
      add_reasoning(fields);
    } else {
      fields.fail("type", fmt::format("is {}; expected message, function_call, "
                                      "function_call_output or reasoning",
                                      ridgeline::quoted(type)));
    }
  }

  Json take() { return std::move(messages_); }
  /// "messages[2].content" as the client calls it.
  std::string name(const std::string& param) const {
    constexpr std::string_view kPrefix = "messages[";
    if (!param.starts_with(kPrefix)) return param;
    const std::size_t close = param.find(']');
    const std::size_t index = std::stoul(param.substr(kPrefix.size(), close - kPrefix.size()));
    return index < origins_.size() ? origins_[index] + param.substr(close + 1) : param;
  }

 private:
  void add(Json message, const std::string& origin) {
    messages_.push_back(std::move(message));
    origins_.push_back(origin);
  }

  /// Calls that follow a message of the assistant, or one another, are one message's.
  void add_call(Fields& call, const std::string& at) {
    const auto id = call.text("call_id");
    const auto name = call.text("name");
    const auto arguments = call.text("arguments");
    if (!id) return call.fail("call_id", "is missing; expected a string");
    if (!name) return call.fail("name", "is missing; expected the function's name");
    if (!arguments) return call.fail("arguments", "is missing; expected JSON as a string");
    if (messages_.empty() || messages_.back()["role"] != "assistant") {
      Json message{{"role", "assistant"}, {"content", nullptr}};
      if (!reasoning_.empty()) message["reasoning_content"] = std::exchange(reasoning_, {});
      add(std::move(message), at);
    }
    messages_.back()["tool_calls"].push_back(
        {{"id", *id},
         {"type", "function"},
         {"function", {{"name", *name}, {"arguments", *arguments}}}});
  }

  void add_reasoning(Fields& item) {
    for (const char* field : {"content", "summary"}) {
      const Json* parts = item.array(field);
      if (parts == nullptr || parts->empty()) continue;
      for (const Json& part : *parts)
        if (part.is_object() && part.contains("text") && part["text"].is_string())
          reasoning_ += part["text"].get<std::string>();
      return;
    }
  }

  Fields& body_;
  Json messages_ = Json::array();
  std::vector<std::string> origins_;  ///< of each message
  std::string reasoning_;             ///< of the assistant's next message
};

/// {"type": "function", "name": …} as chat completions have it.
Json nested_tools(Fields& body) {
  Json nested = Json::array();
  const Json* tools = body.array("tools");
  if (tools == nullptr) return nested;
  for (const Json& tool : *tools) {
    const std::string at = fmt::format("tools[{}]", nested.size());
    if (!tool.is_object()) {
      body.fail_type(at, tool, "an object with type and name");
      break;
    }
    Fields fields = body.within(tool, at);
    const std::string type = fields.text("type").value_or("");
    if (type != "function") {
      fields.fail("type", fmt::format("is {}; this server has no tools of its own, only function",
                                      ridgeline::quoted(type)));
      break;
    }
    Json function = tool;
    function.erase("type");
    nested.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  return nested;
}

Json nested_choice(const Json& choice) {
  if (!choice.is_object()) return choice;
  const auto nest = [](const Json& one) -> Json {
    if (!one.is_object() || one.value("type", Json()) != "function") return one;
    return {{"type", "function"}, {"function", {{"name", one.value("name", Json())}}}};
  };
  if (choice.value("type", Json()) != "allowed_tools") return nest(choice);
  Json allowed = choice;
  allowed.erase("type");
  if (allowed.contains("tools") && allowed["tools"].is_array())
    for (Json& tool : allowed["tools"]) tool = nest(tool);
  return {{"type", "allowed_tools"}, {"allowed_tools", std::move(allowed)}};
}

void read_text(Fields& body, Json& chat) {
  const Json* text = body.object("text");
  if (text == nullptr) return;
  Fields fields = body.within(*text, "text");
  constexpr RefusedField kVerbosity[] = {{"verbosity", "\"medium\"", "the model does not know it"}};
  fields.refuse(kVerbosity);
  const Json* format = fields.object("format");
  if (format == nullptr) return;
  if (format->value("type", Json()) != "json_schema") {
    chat["response_format"] = *format;
    return;
  }
  Json holder = *format;
  holder.erase("type");
  chat["response_format"] = {{"type", "json_schema"}, {"json_schema", std::move(holder)}};
}

void read_include(Fields& body, ResponsesRequest& request, Json& chat) {
  const auto include = body.texts("include").value_or(std::vector<std::string>{});
  for (const std::string& name : include) {
    if (name == "message.output_text.logprobs")
      request.logprobs = true;
    else if (name != "reasoning.encrypted_content")  // reasoning is in the open
      body.fail("include", fmt::format("names {}; expected message.output_text.logprobs",
                                       ridgeline::quoted(name)));
  }
  const auto top = body.integer("top_logprobs", 0, kMaxLogprobs);
  if (top && *top > 0) request.logprobs = true;
  if (!request.logprobs) return;
  chat["logprobs"] = true;
  chat["top_logprobs"] = top.value_or(0);
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

}  // namespace

ApiError responses_error(ApiError error) {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"max_completion_tokens", "max_output_tokens"},
      {"response_format.json_schema", "text.format"},
      {"response_format", "text.format"},
      {"reasoning_effort", "reasoning.effort"},
  };
  for (const auto& [from, to] : kNames) {
    replace_all(error.param, from, to);
    replace_all(error.message, from, to);
  }
  if (error.param == "messages") error.param = "input";
  return error;
}

Checked<ResponsesRequest> read_responses_request(const Json& body, const ServedModel& served) {
  std::optional<ApiError> error;
  Fields fields(body, "", error);
  ResponsesRequest request;
  fields.refuse(kRefused);
  Json chat = Json::object();
  for (const auto& [name, value] : body.items())
    if (std::ranges::find(kOurs, name) == kOurs.end()) chat[name] = value;

  Conversation conversation(fields);
  if (const auto instructions = fields.text("instructions")) {
    conversation.add_system(*instructions);
    request.instructions = dump(Json(*instructions));
  }
  const Json* input = fields.find("input");
  if (input != nullptr && input->is_string()) {
    conversation.add_user(input->get<std::string>());
  } else if (input != nullptr && input->is_array() && !input->empty()) {
    std::size_t index = 0;
    for (const Json& item : *input) conversation.add_item(item, index++);
  } else {
    fields.fail("input", "is missing; expected a string or an array of items");
  }
  chat["messages"] = conversation.take();

  if (const Json tools = nested_tools(fields); !tools.empty()) {
    chat["tools"] = tools;
    Json shown = *fields.array("tools");  // with what OpenAI's answers always say of a tool
    for (Json& tool : shown) {
      if (!tool.contains("strict")) tool["strict"] = false;
      if (!tool.contains("parameters")) tool["parameters"] = nullptr;
    }
    request.tools = dump(shown);
  }
  if (const Json* choice = fields.find("tool_choice")) {
    chat["tool_choice"] = nested_choice(*choice);
    request.tool_choice = dump(*choice);
  }
  request.text = R"({"format":{"type":"text"}})";
  request.reasoning = R"({"effort":null,"summary":null})";
  read_text(fields, chat);
  if (const Json* text = fields.object("text"); text != nullptr && text->contains("format"))
    request.text = dump(*text);
  if (const Json* reasoning = fields.object("reasoning")) {
    Fields inner = fields.within(*reasoning, "reasoning");
    if (const auto effort = inner.text("effort")) chat["reasoning_effort"] = *effort;
    request.reasoning = dump(*reasoning);
  }
  if (const auto most = fields.integer("max_output_tokens", 1, std::numeric_limits<int>::max())) {
    chat["max_completion_tokens"] = *most;
    request.max_output_tokens = std::to_string(*most);
  }
  if (const Json* metadata = fields.object("metadata")) request.metadata = dump(*metadata);
  if (const auto user = fields.text("user")) request.user = dump(Json(*user));
  read_include(fields, request, chat);
  if (error) return tl::make_unexpected(*std::move(error));

  Checked<ChatRequest> translated = read_chat_request(chat, served);
  if (!translated) {
    ApiError told = responses_error(std::move(translated).error());
    const std::string name = conversation.name(told.param);
    if (name != told.param) replace_all(told.message, told.param, name);
    told.param = name;
    return tl::make_unexpected(std::move(told));
  }
  request.chat = *std::move(translated);
  return request;
}

}  // namespace ridgeline::openai
