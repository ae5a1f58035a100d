#include "ridgeline/text/tool_calls/output_parser.h"

namespace ridgeline {
namespace {

constexpr std::string_view kFunctions = "to=functions.";

/// gpt-oss's Harmony format, whose parts stand between control tokens:
///
///   <|channel|>analysis<|message|>reasoning<|end|>
///   <|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{…}<|call|>
///   <|start|>assistant to=functions.f<|channel|>commentary<|message|>{…}<|call|>
///   <|start|>assistant<|channel|>final<|message|>answer<|return|>
class HarmonyParser : public OutputParser {
 public:
  explicit HarmonyParser(bool takes_calls) : takes_calls_(takes_calls) {}

  std::vector<OutputPiece> push(std::string_view text) override {
    if (part_ == Part::kHead) {
      head_ += text;
    } else if (part_ == Part::kReasoning) {
      out_.reasoning(text);
    } else if (part_ == Part::kCall) {
      out_.arguments(calls_ - 1, text);
    } else {
      out_.content(text);
    }
    return out_.take();
  }

  std::vector<OutputPiece> control(std::string_view token) override {
    if (token == "<|message|>") {
      begin_message();
    } else if (token == "<|start|>" || token == "<|end|>" || token == "<|return|>" ||
               token == "<|call|>") {
      head_.clear();
      part_ = Part::kHead;
    } else if (token == "<|channel|>" || token == "<|constrain|>") {
      if (part_ != Part::kHead) head_.clear();
      part_ = Part::kHead;
      head_ += token;
    }
    return out_.take();
  }

  std::vector<OutputPiece> finish() override { return out_.take(); }
  bool in_reasoning() const override { return part_ == Part::kReasoning; }
  int calls() const override { return calls_; }

 private:
  enum class Part { kHead, kReasoning, kAnswer, kCall };

  void begin_message() {
    const std::size_t to = head_.find(kFunctions);
    if (takes_calls_ && to != std::string::npos) {
      const std::size_t name = to + kFunctions.size();
      const std::size_t end = head_.find_first_of(" <\n", name);
      out_.call(calls_++, std::string_view(head_).substr(name, end - name));
      part_ = Part::kCall;
    } else {
      part_ =
          head_.find("<|channel|>analysis") != std::string::npos ? Part::kReasoning : Part::kAnswer;
    }
    head_.clear();
  }

  bool takes_calls_;
  Part part_ = Part::kHead;  ///< prompts end in <|start|>assistant
  std::string head_;
  int calls_ = 0;
  OutputPieces out_;
};

}  // namespace

std::unique_ptr<OutputParser> make_harmony_parser(bool calls) {
  return std::make_unique<HarmonyParser>(calls);
}

}  // namespace ridgeline
