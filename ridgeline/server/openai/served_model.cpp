#include "ridgeline/server/openai/served_model.h"

namespace ridgeline::openai {

Status adopt_chat_template(ServedModel& model, std::optional<ChatTemplate> chat_template,
                           std::string_view parser) {
  model.tool_calls = ToolCallFormat::kNone;
  if (!parser.empty() && parser != "auto") {
    const auto format = tool_call_format_from_name(parser);
    if (!format)
      return fail("--tool-call-parser " + std::string(parser) +
                  ": expected auto, hermes, llama3, mistral, mistral_args, qwen3_coder or harmony");
    model.tool_calls = *format;
  } else if (chat_template) {
    model.tool_calls = detect_tool_call_format(*chat_template);
  }
  model.chat_template = std::move(chat_template);
  if (!model.chat_template) return {};
  model.template_takes_tools = model.chat_template->supports_tools();
  ChatInput probe;
  const auto appears = [&](const char* messages) {
    probe.messages = messages;
    const Result<std::string> prompt = model.chat_template->render(probe);
    return prompt && prompt->find("probed text") != std::string::npos;
  };
  model.template_wants_parts =
      !appears(R"([{"role": "user", "content": "probed text"}])") &&
      appears(R"([{"role": "user", "content": [{"type": "text", "text": "probed text"}]}])");
  return {};
}

}  // namespace ridgeline::openai
