#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/text/thinking.h"
#include "ridgeline/text/tool_calls/tool_call_parser.h"

namespace ridgeline {

/// How a model's output is to be read.
struct OutputFormat {
  std::string thinking_open, thinking_close;     ///< empty: there is no reasoning to split off
  bool inside_thinking = false;                  ///< the prompt ends within it
  bool harmony = false;                          ///< gpt-oss's channels, which say all of it
  ToolCallFormat calls = ToolCallFormat::kNone;  ///< kNone: calls are text like any other
  std::vector<ToolFunction> functions;
};

/// What a model says, taken apart while it says it: reasoning, answer, calls of tools.
class OutputParser {
 public:
  virtual ~OutputParser() = default;
  /// Of the text, control tokens not included.
  virtual std::vector<OutputPiece> push(std::string_view text) = 0;
  /// A control token's text, between the texts where it stood.
  virtual std::vector<OutputPiece> control(std::string_view token) = 0;
  virtual std::vector<OutputPiece> finish() = 0;
  virtual bool in_reasoning() const = 0;
  /// Calls that have begun.
  virtual int calls() const = 0;
};

std::unique_ptr<OutputParser> make_output_parser(const OutputFormat& format);
std::unique_ptr<OutputParser> make_harmony_parser(bool calls);

}  // namespace ridgeline
