#include "ridgeline/server/openai/chat_tools.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ridgeline::openai {
namespace {

using Choice = ToolUse::Choice;

bool is_function_name(const std::string& name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  return !name.empty() && name.size() <= 128 && std::ranges::all_of(name, fits);
}

void read_tool(Fields& tool, ToolUse& use) {
  const std::string type = tool.text("type").value_or("");
  if (type != "function")
    return tool.fail("type", type.empty()
                                 ? "is missing; expected function"
                                 : "is " + ridgeline::quoted(type) + "; expected function");
  const Json* function = tool.object("function");
  if (function == nullptr)
    return tool.fail("function", "is missing; expected an object with name and parameters");
  Fields fields = tool.within(*function, "function");
  ToolFunction read;
  read.name = fields.text("name").value_or("");
  if (!is_function_name(read.name))
    return fields.fail("name",
                       fmt::format("is {}; expected 1 to 128 letters, digits, '_', '-' or '.'",
                                   ridgeline::quoted(read.name)));
  if (std::ranges::find(use.functions, read.name, &ToolFunction::name) != use.functions.end())
    return fields.fail("name", fmt::format("is {}, as that of another tool", read.name));
  fields.text("description");
  fields.boolean("strict");
  if (const Json* parameters = fields.object("parameters")) read.parameters = dump(*parameters);
  use.functions.push_back(std::move(read));
}

/// Leaves only those of `names`; an error if one is none of the tools.
void keep(Fields& fields, const std::string& at, const std::vector<std::string>& names,
          ToolUse& use) {
  for (const std::string& name : names)
    if (std::ranges::find(use.functions, name, &ToolFunction::name) == use.functions.end())
      return fields.fail(
          at, fmt::format("names {}, which is none of the tools", ridgeline::quoted(name)));
  std::erase_if(use.functions, [&](const ToolFunction& f) {
    return std::ranges::find(names, f.name) == names.end();
  });
}

std::string named_function(Fields& choice) {
  const Json* function = choice.object("function");
  if (function == nullptr) {
    choice.fail("function", "is missing; expected an object with a name");
    return {};
  }
  Fields inner = choice.within(*function, "function");
  const auto name = inner.text("name");
  if (!name) inner.fail("name", "is missing; expected a function's name");
  return name.value_or("");
}

void set_mode(Fields& fields, const std::string& at, const std::string& mode, ToolUse& use) {
  if (mode == "none")
    use.choice = Choice::kNone;
  else if (mode == "auto")
    use.choice = Choice::kAuto;
  else if (mode == "required")
    use.choice = Choice::kRequired;
  else
    fields.fail(at, fmt::format("is {}; expected none, auto, required or a function",
                                ridgeline::quoted(mode)));
}

void read_choice(Fields& fields, ToolUse& use) {
  const Json* choice = fields.find("tool_choice");
  if (choice == nullptr) return;
  if (choice->is_string()) return set_mode(fields, "tool_choice", choice->get<std::string>(), use);
  if (!choice->is_object())
    return fields.fail_type("tool_choice", *choice, "none, auto, required or a function");
  Fields inner = fields.within(*choice, "tool_choice");
  const std::string type = inner.text("type").value_or("");
  if (type == "function") {
    use.choice = Choice::kRequired;
    keep(fields, "tool_choice", {named_function(inner)}, use);
  } else if (type == "allowed_tools") {
    const Json* nested = inner.object("allowed_tools");
    if (nested == nullptr) return inner.fail("allowed_tools", "is missing; expected an object");
    Fields allowed = inner.within(*nested, "allowed_tools");
    set_mode(allowed, "mode", allowed.text("mode").value_or("auto"), use);
    std::vector<std::string> names;
    const Json* tools = allowed.array("tools");
    if (tools == nullptr) return allowed.fail("tools", "is missing; expected an array");
    for (const Json& tool : *tools) {
      Fields one = allowed.within(tool, fmt::format("tools[{}]", names.size()));
      if (!tool.is_object()) return allowed.fail_type("tools", tool, "objects");
      names.push_back(named_function(one));
    }
    keep(fields, "tool_choice", names, use);
  } else {
    inner.fail("type",
               fmt::format("is {}; expected function or allowed_tools", ridgeline::quoted(type)));
  }
}

}  // namespace

ToolUse read_tools(Fields& fields, const ServedModel& served) {
  ToolUse use;
  use.parallel = fields.boolean("parallel_tool_calls").value_or(true);
  const Json* tools = fields.array("tools");
  if (tools == nullptr || tools->empty()) {
    const Json* choice = fields.find("tool_choice");
    if (choice != nullptr && *choice != "none" && *choice != "auto")
      fields.fail("tool_choice", "is given without tools");
    return use;
  }
  if (tools->size() > kMaxTools)
    fields.fail("tools",
                fmt::format("has {} tools; expected at most {}", tools->size(), kMaxTools));
  for (const Json& tool : *tools) {
    const std::string at = fmt::format("tools[{}]", use.functions.size());
    if (!tool.is_object()) fields.fail_type(at, tool, "an object with type and function");
    if (!fields.ok()) return use;
    Fields inner = fields.within(tool, at);
    read_tool(inner, use);
  }
  use.choice = Choice::kAuto;
  read_choice(fields, use);
  // Without a choice they are left out of the prompt, so that the model does not call them.
  if (!fields.ok() || use.choice == Choice::kNone) return use;
  if (!served.template_takes_tools)
    fields.fail("tools", "are given, but the model's chat template has no place for them",
                "tools_not_supported");
  else if (served.tool_calls == ToolCallFormat::kNone)
    fields.fail("tools",
                "are given, but it is not known how this model writes calls; the server's "
                "--tool-call-parser says it",
                "tools_not_supported");
  Json shown = Json::array();
  for (const Json& tool : *tools) {
    const std::string name = tool["function"]["name"].get<std::string>();
    if (std::ranges::find(use.functions, name, &ToolFunction::name) != use.functions.end())
      shown.push_back(tool);
  }
  // A choice by name limits what may be called, not what the model knows of.
  use.json = dump(use.choice == Choice::kRequired && use.functions.size() == 1 ? *tools : shown);
  return use;
}

}  // namespace ridgeline::openai
