#include "ridgeline/text/tool_calls/output_parser.h"

namespace ridgeline {
namespace {

/// Tags around the reasoning, then an answer in which calls may stand.
class TaggedOutput : public OutputParser {
 public:
  explicit TaggedOutput(const OutputFormat& format)
      : open_(format.thinking_open),
        close_(format.thinking_close),
        splitter_(format.thinking_open, format.thinking_close, format.inside_thinking),
        reasoning_(format.inside_thinking),
        calls_(make_tool_call_parser(format.calls, format.functions)) {}

  std::vector<OutputPiece> push(std::string_view text) override {
    deliver(splitter_.push(text));
    return out_.take();
  }

  std::vector<OutputPiece> control(std::string_view token) override {
    if (!open_.empty() && (token == open_ || token == close_)) {
      deliver(splitter_.push(token));
    } else if (calls_ != nullptr && !reasoning_) {
      deliver(splitter_.finish());
      calls_->control(token, out_);
    }
    return out_.take();
  }

  std::vector<OutputPiece> finish() override {
    deliver(splitter_.finish());
    if (calls_ != nullptr) calls_->finish(out_);
    return out_.take();
  }

  bool in_reasoning() const override { return reasoning_; }
  int calls() const override { return calls_ == nullptr ? 0 : calls_->calls(); }

 private:
  void deliver(const ThinkingSplitter::Piece& piece) {
    if (!piece.thinking.empty()) reasoning_ = true;
    if (!piece.answer.empty()) reasoning_ = false;
    out_.reasoning(piece.thinking);
    if (calls_ != nullptr)
      calls_->push(piece.answer, out_);
    else
      out_.content(piece.answer);
  }

  std::string open_, close_;
  ThinkingSplitter splitter_;
  bool reasoning_;
  std::unique_ptr<ToolCallParser> calls_;
  OutputPieces out_;
};

}  // namespace

std::unique_ptr<OutputParser> make_output_parser(const OutputFormat& format) {
  if (format.harmony) return make_harmony_parser(format.calls == ToolCallFormat::kHarmony);
  return std::make_unique<TaggedOutput>(format);
}

}  // namespace ridgeline
