#include "ridgeline/text/tool_calls/call_grammar.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ridgeline/text/tokenizer.h"

namespace ridgeline {
namespace {

using Json = nlohmann::ordered_json;

/// The schema of a function's arguments, which are an object whatever it says.
Json parameters_of(const ToolFunction& function) {
  Json schema = Json::parse(function.parameters, nullptr, /*allow_exceptions=*/false);
  if (!schema.is_object())
    return {{"type", "object"}, {"properties", Json::object()}, {"additionalProperties", false}};
  constexpr const char* kSays[] = {"type", "$ref", "anyOf", "oneOf", "allOf", "const", "enum"};
  const auto says = [&](const char* keyword) { return schema.contains(keyword); };
  if (std::ranges::none_of(kSays, says)) schema["type"] = "object";
  return schema;
}

Result<Grammar::Ptr> around(const std::string& before, const ToolFunction& function,
                            const std::string& behind) {
  RIDGELINE_TRY(Grammar::Ptr head, Grammar::literal(before));
  auto arguments = Grammar::from_json_schema(parameters_of(function).dump());
  if (!arguments)
    return fail("the parameters of the tool " + function.name + ": " + arguments.error().message);
  if (behind.empty()) return Grammar::sequence({head, *arguments});
  RIDGELINE_TRY(Grammar::Ptr tail, Grammar::literal(behind));
  return Grammar::sequence({head, *arguments, tail});
}

/// Parameters in the order of the schema, those that are not required as the model likes.
Result<Grammar::Ptr> qwen_coder_call(const ToolFunction& function) {
  const Json schema = parameters_of(function);
  std::vector<Grammar::Ptr> parts;
  RIDGELINE_TRY(Grammar::Ptr head,
                Grammar::literal("<tool_call>\n<function=" + function.name + ">\n"));
  parts.push_back(head);
  const Json properties = schema.value("properties", Json::object());
  const Json required = schema.value("required", Json::array());
  const std::string end = "\n</parameter>\n";
  for (const auto& [key, value] : properties.items()) {
    Json property = value;
    for (const char* defs : {"$defs", "definitions"})
      if (schema.contains(defs) && property.is_object()) property[defs] = schema[defs];
    RIDGELINE_TRY(Grammar::Ptr open, Grammar::literal("<parameter=" + key + ">\n"));
    Grammar::Ptr parameter;
    const bool is_text = property.is_object() && property.value("type", Json()) == "string";
    if (is_text && !property.contains("enum") && !property.contains("const")) {
      RIDGELINE_TRY(Grammar::Ptr text, Grammar::free_text_until(end));
      RIDGELINE_TRY(parameter, Grammar::sequence({open, text}));
    } else {
      Result<Grammar::Ptr> written;
      if (is_text) {
        std::vector<std::string> choices;
        const Json list = property.contains("enum") ? property["enum"] : Json{property["const"]};
        for (const Json& choice : list)
          if (choice.is_string()) choices.push_back(choice.get<std::string>());
        written = Grammar::from_choices(choices);
      } else {
        written = Grammar::from_json_schema(property.dump());
      }
      if (!written)
        return fail("the parameter " + key + " of the tool " + function.name + ": " +
                    written.error().message);
      RIDGELINE_TRY(Grammar::Ptr close, Grammar::literal(end));
      RIDGELINE_TRY(parameter, Grammar::sequence({open, *written, close}));
    }
    if (std::ranges::find(required, Json(key)) == required.end()) {
      RIDGELINE_TRY(Grammar::Ptr nothing, Grammar::literal(""));
      RIDGELINE_TRY(parameter, Grammar::any_of({parameter, nothing}));
    }
    parts.push_back(parameter);
  }
  RIDGELINE_TRY(Grammar::Ptr tail, Grammar::literal("</function>\n</tool_call>"));
  parts.push_back(tail);
  return Grammar::sequence(std::move(parts));
}

Result<Grammar::Ptr> one_call(ToolCallFormat format, const ToolFunction& f) {
  switch (format) {
    case ToolCallFormat::kHermes:
      return around("<tool_call>\n{\"name\": \"" + f.name + "\", \"arguments\": ", f,
                    "}\n</tool_call>");
    case ToolCallFormat::kLlama3:
      return around("{\"name\": \"" + f.name + "\", \"parameters\": ", f, "}");
    case ToolCallFormat::kMistral:
      return around("[TOOL_CALLS][{\"name\": \"" + f.name + "\", \"arguments\": ", f, "}]");
    case ToolCallFormat::kMistralArgs:
      return around("[TOOL_CALLS]" + f.name + "[ARGS]", f, "");
    case ToolCallFormat::kQwenCoder:
      return qwen_coder_call(f);
    case ToolCallFormat::kHarmony:
      return around(
          "<|channel|>commentary to=functions." + f.name + " <|constrain|>json<|message|>", f, "");
    case ToolCallFormat::kNone:
      break;
  }
  return fail("it is not known how this model writes calls of tools");
}

bool is_control(const Tokenizer& tokenizer, const std::string& text) {
  const auto id = tokenizer.find(text);
  return id && tokenizer.piece(*id).empty();
}

}  // namespace

Result<Grammar::Ptr> tool_call_grammar(ToolCallFormat format,
                                       std::span<const ToolFunction> functions) {
  std::vector<Grammar::Ptr> calls;
  for (const ToolFunction& function : functions) {
    RIDGELINE_TRY(Grammar::Ptr call, one_call(format, function));
    calls.push_back(std::move(call));
  }
  return calls.size() == 1 ? calls.front() : Grammar::any_of(std::move(calls));
}

Result<Grammar::Ptr> behind_reasoning(Grammar::Ptr answer, const OutputFormat& format,
                                      bool may_think, const Tokenizer& tokenizer) {
  // Harmony's channels are left out: a grammar goes straight to what it constrains.
  if (format.harmony || format.thinking_open.empty()) return answer;
  if (!format.inside_thinking && !may_think) return answer;
  if (is_control(tokenizer, format.thinking_close)) {
    if (!format.inside_thinking) return answer;
    return fail("the model reasons first and ends that with the control token " +
                format.thinking_close + ", behind which nothing can be constrained");
  }
  RIDGELINE_TRY(Grammar::Ptr reasoning, Grammar::free_text_until(format.thinking_close));
  RIDGELINE_TRY(Grammar::Ptr space, Grammar::from_regex("[ \\n\\r\\t]{0,4}"));
  if (format.inside_thinking) return Grammar::sequence({reasoning, space, answer});
  RIDGELINE_TRY(Grammar::Ptr open, Grammar::literal(format.thinking_open));
  RIDGELINE_TRY(Grammar::Ptr thought, Grammar::sequence({open, reasoning, space, answer}));
  return Grammar::any_of({answer, thought});
}

}  // namespace ridgeline
