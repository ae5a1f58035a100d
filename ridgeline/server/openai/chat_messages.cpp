#include "ridgeline/server/openai/chat_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace ridgeline::openai {
namespace {

constexpr std::array<std::string_view, 5> kRoles = {"system", "developer", "user", "assistant",
                                                    "tool"};

Json read_tool_calls(Fields& message, const Json& calls) {
  Json normal = Json::array();
  for (const Json& call : calls) {
    const std::string at = fmt::format("tool_calls[{}]", normal.size());
    if (!call.is_object()) {
      message.fail_type(at, call, "an object");
      break;
    }
    Fields fields = message.within(call, at);
    const auto id = fields.text("id");
    const std::string type = fields.text("type").value_or("function");
    if (type != "function") fields.fail("type", "is " + type + "; expected function");
    const Json* function = fields.object("function");
    if (function == nullptr) {
      fields.fail("function", "is missing; expected an object with name and arguments");
      break;
    }
    Fields inner = fields.within(*function, "function");
    const auto name = inner.text("name");
    if (!name || name->empty()) inner.fail("name", "is missing; expected the function's name");
    Json arguments = Json::object();
    if (const Json* given = inner.find("arguments")) {
      if (given->is_object()) {
        arguments = *given;
      } else if (given->is_string()) {
        const auto text = given->get<std::string>();
        if (!text.empty()) {
          Checked<Json> parsed = parse_body(text);
          if (!parsed)
            inner.fail("arguments", "is no JSON object: " + parsed.error().message);
          else
            arguments = *std::move(parsed);
        }
      } else {
        inner.fail_type("arguments", *given, "a JSON object as a string");
      }
    }
    Json one{{"type", "function"},
             {"function", {{"name", name.value_or("")}, {"arguments", std::move(arguments)}}}};
    if (id) one["id"] = *id;
    normal.push_back(std::move(one));
  }
  return normal;
}

Json read_message(Fields& message, const ServedModel& served) {
  std::string role = message.text("role").value_or("");
  if (std::ranges::find(kRoles, role) == kRoles.end()) {
    message.fail("role", role.empty()
                             ? "is missing; expected system, developer, user, assistant or tool"
                             : "is " + ridgeline::quoted(role) +
                                   "; expected system, developer, user, assistant or tool");
    return {};
  }
  constexpr RefusedField kRefused[] = {
      {"audio", "", "this model reads and writes only text"},
      {"function_call", "", "it is deprecated, use tool_calls"},
  };
  message.refuse(kRefused);
  const bool knows_developer =
      served.chat_template && served.chat_template->source().find("developer") != std::string::npos;
  if (role == "developer" && !knows_developer) role = "system";

  Json normal{{"role", role}};
  const Json* content = message.find("content");
  const Json* calls = message.array("tool_calls");
  std::string text;
  if (content != nullptr && content->is_string())
    text = content->get<std::string>();
  else if (content != nullptr && content->is_array())
    text = read_parts(message, "content", *content, "\n");  // as vLLM joins them
  else if (content != nullptr)
    message.fail_type("content", *content, "a string or an array of parts");
  else if (role != "assistant")
    message.fail("content", "is missing; expected a string or an array of parts");
  if (served.template_wants_parts)
    normal["content"] = Json::array({{{"type", "text"}, {"text", text}}});
  else
    normal["content"] = text;

  if (calls != nullptr && role != "assistant")
    message.fail("tool_calls", "is given; expected it only in messages of the role assistant");
  if (calls != nullptr && !calls->empty()) normal["tool_calls"] = read_tool_calls(message, *calls);
  for (const char* field : {"reasoning_content", "reasoning", "thinking", "name", "tool_call_id"})
    if (const auto value = message.text(field)) normal[field] = *value;
  return normal;
}

}  // namespace

std::string read_parts(Fields& fields, std::string_view path, const Json& parts,
                       std::string_view between) {
  std::string text;
  std::size_t index = 0;
  for (const Json& part : parts) {
    const std::string at = fmt::format("{}[{}]", path, index++);
    if (part.is_string()) {
      if (!text.empty()) text += between;
      text += part.get<std::string>();
      continue;
    }
    if (!part.is_object()) {
      fields.fail_type(at, part, "an object with type and text");
      return {};
    }
    Fields inner = fields.within(part, at);
    const std::string type = inner.text("type").value_or("");
    const bool is_text = type == "text" || type == "input_text" || type == "output_text";
    const bool is_refusal = type == "refusal";
    if (!is_text && !is_refusal) {
      inner.fail("type", type.empty() ? "is missing; expected text"
                                      : fmt::format("is {}; this model reads only text", type));
      return {};
    }
    const auto piece = inner.text(is_text ? "text" : "refusal");
    if (!piece) inner.fail(is_text ? "text" : "refusal", "is missing; expected a string");
    if (!text.empty()) text += between;
    text += piece.value_or("");
  }
  return text;
}

Json read_messages(Fields& fields, std::string_view name, const ServedModel& served) {
  Json normal = Json::array();
  const Json* messages = fields.array(name);
  if (messages == nullptr) {
    fields.fail(name, "is missing; expected an array of messages");
    return normal;
  }
  if (messages->empty()) fields.fail(name, "is empty; expected at least one message");
  if (messages->size() > kMaxMessages)
    fields.fail(
        name, fmt::format("has {} messages; expected at most {}", messages->size(), kMaxMessages));
  for (const Json& message : *messages) {
    const std::string at = fmt::format("{}[{}]", name, normal.size());
    if (!message.is_object()) {
      fields.fail_type(at, message, "an object with role and content");
      break;
    }
    Fields inner = fields.within(message, at);
    normal.push_back(read_message(inner, served));
    if (!fields.ok()) break;
  }
  return normal;
}

}  // namespace ridgeline::openai
