#include "ridgeline/text/tool_calls/tool_call_format.h"

#include <array>
#include <utility>

#include "ridgeline/text/chat_template.h"

namespace ridgeline {
namespace {

struct Row {
  std::string_view name;
  ToolCallFormat format;
};
constexpr std::array<Row, 8> kNames = {{
    {"hermes", ToolCallFormat::kHermes},
    {"llama3", ToolCallFormat::kLlama3},
    {"mistral", ToolCallFormat::kMistral},
    {"mistral_args", ToolCallFormat::kMistralArgs},
    {"qwen3_coder", ToolCallFormat::kQwenCoder},
    {"harmony", ToolCallFormat::kHarmony},
    {"llama3_json", ToolCallFormat::kLlama3},
    {"openai", ToolCallFormat::kHarmony},
}};

}  // namespace

ToolCallFormat detect_tool_call_format(const ChatTemplate& chat_template) {
  const std::string& source = chat_template.source();
  const auto has = [&source](std::string_view text) { return source.find(text) != source.npos; };
  if (has("<|channel|>") && has("<|call|>")) return ToolCallFormat::kHarmony;
  if (has("<function=") && has("<parameter=")) return ToolCallFormat::kQwenCoder;
  if (has("[TOOL_CALLS]"))
    return has("[ARGS]") ? ToolCallFormat::kMistralArgs : ToolCallFormat::kMistral;
  if (has("<tool_call>")) return ToolCallFormat::kHermes;
  // Llama 3.2's template has no python tag, but asks for the object in words.
  if (has("<|python_tag|>") || (has("<|start_header_id|>") && has("\"parameters\"")))
    return ToolCallFormat::kLlama3;
  return ToolCallFormat::kNone;
}

std::optional<ToolCallFormat> tool_call_format_from_name(std::string_view name) {
  for (const Row& row : kNames)
    if (row.name == name) return row.format;
  return std::nullopt;
}

std::string_view name(ToolCallFormat format) {
  for (const Row& row : kNames)
    if (row.format == format) return row.name;
  return "none";
}

bool wants_short_call_ids(ToolCallFormat format) {
  return format == ToolCallFormat::kMistral || format == ToolCallFormat::kMistralArgs;
}

}  // namespace ridgeline
