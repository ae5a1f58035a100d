#include "ridgeline/text/tool_calls/json_call.h"
#include "ridgeline/text/tool_calls/tag_finder.h"
#include "ridgeline/text/tool_calls/tool_call_parser.h"

namespace ridgeline {
namespace {

constexpr std::string_view kTag = "<|python_tag|>";

/// An object at the very beginning, or behind the tag, is a call if it names one of the
/// functions; others follow it directly or behind a semicolon.
class Llama3Parser : public ToolCallParser {
 public:
  explicit Llama3Parser(const std::vector<ToolFunction>& functions) {
    for (const ToolFunction& f : functions) names_.push_back(f.name);
  }

  bool control(std::string_view token, OutputPieces& out) override {
    if (token != kTag) return false;
    push(token, out);
    return true;
  }

  void finish(OutputPieces& out) override {
    if (state_ == State::kText)
      out.content(tag_.held());
    else if (state_ == State::kStart || (state_ == State::kObject && !call_.certain()))
      out.content(raw_);
  }

 protected:
  void step(char c, OutputPieces& out) override {
    switch (state_) {
      case State::kStart:
        if (is_json_space(c) || (c == ';' && calls_ > 0)) {
          raw_ += c;
        } else if (c == '{') {
          call_ = JsonCall(names_);
          state_ = State::kObject;
          in_object(c, out);
        } else {
          become_text(out);
          step(c, out);
        }
        return;
      case State::kObject:
        in_object(c, out);
        return;
      case State::kText: {
        std::string certain;
        const bool found = tag_.push(c, certain);
        out.content(certain);
        if (!found) return;
        tag_.take_held();
        state_ = State::kStart;
        return;
      }
      case State::kBrokenArguments:
        out.arguments(calls_ - 1, std::string_view(&c, 1));
        return;
    }
  }

 private:
  enum class State { kStart, kObject, kText, kBrokenArguments };

  void become_text(OutputPieces& out) {
    if (calls_ == 0 || raw_.find_first_not_of(" \t\r\n;") != std::string::npos) out.content(raw_);
    raw_.clear();
    state_ = State::kText;
  }

  void in_object(char c, OutputPieces& out) {
    const bool was_certain = call_.certain();
    const JsonCall::State state = call_.push(c);
    if (!was_certain) raw_ += c;
    if (call_.certain()) {
      if (!was_certain) out.call(calls_++, call_.name());
      raw_.clear();
      out.arguments(calls_ - 1, call_.take_arguments());
    }
    if (state == JsonCall::State::kDone) {
      state_ = State::kStart;
    } else if (state == JsonCall::State::kBroken) {
      if (call_.certain() && call_.broken_in_arguments()) {
        state_ = State::kBrokenArguments;
        return;
      }
      if (!call_.certain()) raw_.pop_back();
      become_text(out);
      step(c, out);
    }
  }

  State state_ = State::kStart;
  TagFinder tag_{kTag};
  std::vector<std::string> names_;
  std::string raw_;  ///< what is content if this is no call
  JsonCall call_;
};

}  // namespace

std::unique_ptr<ToolCallParser> make_llama3_parser(std::vector<ToolFunction> functions) {
  return std::make_unique<Llama3Parser>(functions);
}

}  // namespace ridgeline
