#include "ridgeline/text/tool_calls/tool_call_parser.h"

namespace ridgeline {

void OutputPieces::add(OutputPiece::Kind kind, std::string_view text) {
  if (text.empty()) return;
  if (pieces_.empty() || pieces_.back().kind != kind)
    pieces_.push_back({kind, std::string(text), 0, ""});
  else
    pieces_.back().text += text;
}

void OutputPieces::call(int index, std::string_view name) {
  pieces_.push_back({OutputPiece::Kind::kToolCall, "", index, std::string(name)});
}

void OutputPieces::arguments(int index, std::string_view text) {
  if (text.empty()) return;
  if (pieces_.empty() || pieces_.back().kind != OutputPiece::Kind::kToolCall ||
      pieces_.back().call != index)
    pieces_.push_back({OutputPiece::Kind::kToolCall, "", index, ""});
  pieces_.back().text += text;
}

std::unique_ptr<ToolCallParser> make_tool_call_parser(ToolCallFormat format,
                                                      std::vector<ToolFunction> functions) {
  switch (format) {
    case ToolCallFormat::kHermes:
      return make_hermes_parser();
    case ToolCallFormat::kLlama3:
      return make_llama3_parser(std::move(functions));
    case ToolCallFormat::kMistral:
    case ToolCallFormat::kMistralArgs:
      return make_mistral_parser();
    case ToolCallFormat::kQwenCoder:
      return make_qwen_coder_parser(std::move(functions));
    case ToolCallFormat::kHarmony:
    case ToolCallFormat::kNone:
      break;
  }
  return nullptr;
}

}  // namespace ridgeline
