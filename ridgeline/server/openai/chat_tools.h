#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ridgeline/server/openai/fields.h"
#include "ridgeline/server/openai/served_model.h"

namespace ridgeline::openai {

/// What a request says of tools.
struct ToolUse {
  enum class Choice { kNone, kAuto, kRequired };
  Choice choice = Choice::kNone;
  std::vector<ToolFunction> functions;  ///< those that may be called
  std::string json;                     ///< for the template: an array; "" if there are none
  bool parallel = true;                 ///< more than one call in an answer
};

/// tools, tool_choice and parallel_tool_calls. A choice that names a function is kRequired with
/// that function alone.
ToolUse read_tools(Fields& fields, const ServedModel& served);
inline constexpr std::size_t kMaxTools = 512;

}  // namespace ridgeline::openai
