#include "ridgeline/text/tool_calls/json_call.h"
#include "ridgeline/text/tool_calls/tag_finder.h"
#include "ridgeline/text/tool_calls/tool_call_parser.h"

namespace ridgeline {
namespace {

constexpr std::string_view kTag = "[TOOL_CALLS]";
constexpr std::string_view kArguments = "[ARGS]";
constexpr std::string_view kCallId = "[CALL_ID]";

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}

/// Both of Mistral's formats:
///
///     [TOOL_CALLS][{"name": "f", "arguments": {…}}, …]
///     [TOOL_CALLS]f[CALL_ID]abc[ARGS]{…}[TOOL_CALLS]g[ARGS]{…}      ([CALL_ID]… may be missing)
class MistralParser : public ToolCallParser {
 public:
  bool control(std::string_view token, OutputPieces& out) override {
    if (token != kTag && token != kArguments && token != kCallId) return false;
    push(token, out);
    return true;
  }

  void finish(OutputPieces& out) override {
    switch (state_) {
      case State::kText:
        if (!behind_call_ || tag_.held().find_first_not_of(" \t\r\n") != std::string::npos)
          out.content(tag_.held());
        break;
      case State::kBehindTag:
      case State::kName:
        out.content(raw_);
        break;
      case State::kObject:
        if (!call_.certain()) out.content(raw_);
        break;
      case State::kNextObject:
      case State::kInArguments:
      case State::kBrokenArguments:
        break;
    }
  }

 protected:
  void step(char c, OutputPieces& out) override {
    switch (state_) {
      case State::kText:
        in_text(c, out);
        return;
      case State::kBehindTag:
        raw_ += c;
        if (c == '[' && !in_list_) {
          in_list_ = true;
        } else if (c == '{') {
          begin_object(c, out);
        } else if (is_name_character(c) && !in_list_) {
          head_ = c;
          state_ = State::kName;
        } else if (!is_json_space(c)) {
          give_up(c, out);
        }
        return;
      case State::kObject:
        in_object(c, out);
        return;
      case State::kNextObject:
        if (c == '{') {
          raw_ = c;
          begin_object(c, out);
        } else if (c == ']' && in_list_) {
          leave();
        } else if (c != ',' && !is_json_space(c)) {
          leave();
          step(c, out);
        }
        return;
      case State::kName:
        in_name(c, out);
        return;
      case State::kInArguments:
        out.arguments(calls_ - 1, std::string_view(&c, 1));
        switch (scanner_.push(c)) {
          case JsonValueScanner::State::kDone:
            leave();
            return;
          case JsonValueScanner::State::kBroken:
          case JsonValueScanner::State::kEnded:
            state_ = State::kBrokenArguments;
            return;
          case JsonValueScanner::State::kOpen:
            return;
        }
        return;
      case State::kBrokenArguments:
        out.arguments(calls_ - 1, std::string_view(&c, 1));
        return;
    }
  }

 private:
  enum class State {
    kText,
    kBehindTag,
    kObject,
    kNextObject,
    kName,
    kInArguments,
    kBrokenArguments
  };

  void in_text(char c, OutputPieces& out) {
    std::string certain;
    const bool found = tag_.push(c, certain);
    if (!certain.empty()) behind_call_ = false;
    out.content(certain);
    if (!found) return;
    raw_ = tag_.take_held();
    in_list_ = false;
    state_ = State::kBehindTag;
  }

  void leave() {
    state_ = State::kText;
    behind_call_ = true;
  }

  /// It was no call; `c`, the last of raw_, did not fit.
  void give_up(char c, OutputPieces& out) {
    raw_.pop_back();
    out.content(raw_);
    state_ = State::kText;
    behind_call_ = false;
    step(c, out);
  }

  void begin_object(char c, OutputPieces&) {
    call_ = JsonCall();
    call_.push(c);
    state_ = State::kObject;
  }

  void in_object(char c, OutputPieces& out) {
    const bool was_certain = call_.certain();
    const JsonCall::State state = call_.push(c);
    if (!was_certain) raw_ += c;
    if (call_.certain()) {
      if (!was_certain) out.call(calls_++, call_.name());
      out.arguments(calls_ - 1, call_.take_arguments());
    }
    if (state == JsonCall::State::kDone) {
      state_ = State::kNextObject;
      if (!in_list_) leave();
    } else if (state == JsonCall::State::kBroken) {
      if (!call_.certain()) {
        give_up(c, out);
      } else if (call_.broken_in_arguments()) {
        state_ = State::kBrokenArguments;
      } else {
        leave();
        step(c, out);
      }
    }
  }

  /// head_: "f", "f[CALL_ID]abc", "f[AR".
  void in_name(char c, OutputPieces& out) {
    raw_ += c;
    if (c == '{') {
      std::string_view head = head_;
      if (head.ends_with(kArguments)) head.remove_suffix(kArguments.size());
      head = head.substr(0, head.find(kCallId));
      if (head.find('[') != head.npos) return give_up(c, out);
      out.call(calls_++, head);
      scanner_.reset();
      state_ = State::kInArguments;
      step(c, out);
      return;
    }
    if (is_json_space(c) && head_.ends_with(kArguments)) return;
    if (!is_name_character(c) && c != '[' && c != ']') return give_up(c, out);
    head_ += c;
  }

  State state_ = State::kText;
  TagFinder tag_{kTag};
  std::string raw_;   ///< since the tag, while it is not certain that it is a call
  std::string head_;  ///< of the newer format: what stands before the arguments
  JsonCall call_;
  JsonValueScanner scanner_;
  bool in_list_ = false, behind_call_ = false;
};

}  // namespace

std::unique_ptr<ToolCallParser> make_mistral_parser() { return std::make_unique<MistralParser>(); }

}  // namespace ridgeline
