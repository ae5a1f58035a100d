#include "ridgeline/text/tool_calls/json_call.h"
#include "ridgeline/text/tool_calls/tag_finder.h"
#include "ridgeline/text/tool_calls/tool_call_parser.h"

namespace ridgeline {
namespace {

constexpr std::string_view kOpen = "<tool_call>";
constexpr std::string_view kClose = "</tool_call>";

class HermesParser : public ToolCallParser {
 public:
  bool control(std::string_view token, OutputPieces& out) override {
    if (token != kOpen && token != kClose) return false;
    push(token, out);
    return true;
  }

  void finish(OutputPieces& out) override {
    switch (state_) {
      case State::kText:
        if (!behind_call_ || text_.held().find_first_not_of(" \t\r\n") != std::string::npos)
          out.content(text_.held());
        break;
      case State::kObject:
        if (!call_.certain()) out.content(raw_);
        break;
      case State::kBrokenArguments:
        out.arguments(calls_ - 1, close_.held());
        break;
      case State::kBehindObject:
        break;  // half a closing tag, or white space
    }
  }

 protected:
  void step(char c, OutputPieces& out) override {
    switch (state_) {
      case State::kText: {
        std::string certain;
        const bool opened = text_.push(c, certain);
        if (!certain.empty()) behind_call_ = false;
        out.content(certain);
        if (!opened) return;
        raw_ = text_.take_held();
        call_ = JsonCall();
        state_ = State::kObject;
        return;
      }
      case State::kObject:
        in_object(c, out);
        return;
      case State::kBrokenArguments: {
        std::string certain;
        const bool closed = close_.push(c, certain);
        out.arguments(calls_ - 1, certain);
        if (closed) leave();
        return;
      }
      case State::kBehindObject: {
        std::string certain;
        if (close_.push(c, certain)) {
          leave();
        } else if (!certain.empty()) {  // the tag is missing
          certain += close_.take_held();
          leave();
          push(certain, out);
        }
        return;
      }
    }
  }

 private:
  enum class State { kText, kObject, kBehindObject, kBrokenArguments };

  void in_object(char c, OutputPieces& out) {
    const bool was_certain = call_.certain();
    const JsonCall::State state = call_.push(c);
    if (!was_certain) raw_ += c;
    if (call_.certain()) {
      if (!was_certain) out.call(calls_++, call_.name());
      out.arguments(calls_ - 1, call_.take_arguments());
    }
    if (state == JsonCall::State::kDone) {
      state_ = State::kBehindObject;
    } else if (state == JsonCall::State::kBroken) {
      if (!call_.certain()) {
        raw_.pop_back();
        out.content(raw_);
        state_ = State::kText;
        behind_call_ = false;
        step(c, out);
      } else if (call_.broken_in_arguments()) {
        state_ = State::kBrokenArguments;
      } else {
        leave();
        step(c, out);
      }
    }
  }

  void leave() {
    close_.take_held();
    state_ = State::kText;
    behind_call_ = true;
  }

  State state_ = State::kText;
  TagFinder text_{kOpen}, close_{kClose};
  std::string raw_;  ///< since the tag, while it is not certain that it is a call
  JsonCall call_;
  bool behind_call_ = false;  ///< nothing but white space since a call
};

}  // namespace

std::unique_ptr<ToolCallParser> make_hermes_parser() { return std::make_unique<HermesParser>(); }

}  // namespace ridgeline
