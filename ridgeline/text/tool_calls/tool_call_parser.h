#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ridgeline/text/tool_calls/tool_call_format.h"

namespace ridgeline {

/// A piece of what a model said: of its reasoning, of its answer, or of a call's arguments.
struct OutputPiece {
  enum class Kind { kReasoning, kContent, kToolCall };
  Kind kind = Kind::kContent;
  std::string text;
  int call = 0;           ///< which one it belongs to, counted from 0
  std::string call_name;  ///< in a call's first piece

  bool operator==(const OutputPiece&) const = default;
};

/// Pieces in order; neighbours of a kind become one.
class OutputPieces {
 public:
  void reasoning(std::string_view text) { add(OutputPiece::Kind::kReasoning, text); }
  void content(std::string_view text) { add(OutputPiece::Kind::kContent, text); }
  void call(int index, std::string_view name);
  void arguments(int index, std::string_view text);
  std::vector<OutputPiece> take() { return std::exchange(pieces_, {}); }

 private:
  void add(OutputPiece::Kind kind, std::string_view text);

  std::vector<OutputPiece> pieces_;
};

/// Takes the calls of tools out of what a model says, while it says it. A call's name comes
/// first and its arguments follow as they arrive. What turns out to be no call is content, to
/// the byte; nothing is lost. The outcome depends on the text, not on how it was cut.
class ToolCallParser {
 public:
  virtual ~ToolCallParser() = default;
  void push(std::string_view text, OutputPieces& out) {
    for (const char c : text) step(c, out);
  }
  /// A control token, which is not a part of the text; false: it says nothing of calls.
  virtual bool control(std::string_view token, OutputPieces& out) = 0;
  virtual void finish(OutputPieces& out) = 0;  ///< what is still held back
  /// The model is in the midst of a call: a count of what has begun includes it.
  int calls() const { return calls_; }

 protected:
  virtual void step(char c, OutputPieces& out) = 0;
  int calls_ = 0;  ///< that are certain
};

/// Null for kNone, and for kHarmony, whose calls HarmonyOutput reads.
std::unique_ptr<ToolCallParser> make_tool_call_parser(ToolCallFormat format,
                                                      std::vector<ToolFunction> functions);

std::unique_ptr<ToolCallParser> make_hermes_parser();
std::unique_ptr<ToolCallParser> make_llama3_parser(std::vector<ToolFunction> functions);
std::unique_ptr<ToolCallParser> make_mistral_parser();
std::unique_ptr<ToolCallParser> make_qwen_coder_parser(std::vector<ToolFunction> functions);

}  // namespace ridgeline
