#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ridgeline {

class ChatTemplate;

/// How a model writes the calls of tools that it is given.
enum class ToolCallFormat {
  kNone,         ///< not known
  kHermes,       ///< <tool_call>{"name": "f", "arguments": {…}}</tool_call>; also Qwen's
  kLlama3,       ///< {"name": "f", "parameters": {…}}, often behind <|python_tag|>
  kMistral,      ///< [TOOL_CALLS][{"name": "f", "arguments": {…}}, …]
  kMistralArgs,  ///< [TOOL_CALLS]f[ARGS]{…}, newer
  kQwenCoder,    ///< <tool_call><function=f><parameter=x>text</parameter></function></tool_call>
  kHarmony,      ///< gpt-oss: <|channel|>commentary to=functions.f<|message|>{…}<|call|>
};

/// By what the template writes where it repeats earlier calls; kNone: nothing known.
ToolCallFormat detect_tool_call_format(const ChatTemplate& chat_template);
/// "hermes", "llama3", "mistral", "mistral_args", "qwen3_coder", "harmony", and vLLM's
/// "llama3_json" and "openai"; absent for any other name.
std::optional<ToolCallFormat> tool_call_format_from_name(std::string_view name);
std::string_view name(ToolCallFormat format);

/// A function that a model may call.
struct ToolFunction {
  std::string name;
  std::string parameters;  ///< a JSON schema; "" if the function has none
};

/// Whoever reads Mistral's templates holds ids against nine letters and digits; others take any.
bool wants_short_call_ids(ToolCallFormat format);

}  // namespace ridgeline
