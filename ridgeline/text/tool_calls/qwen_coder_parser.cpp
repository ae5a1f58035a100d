#include <nlohmann/json.hpp>

#include "ridgeline/text/tool_calls/json_call.h"
#include "ridgeline/text/tool_calls/tag_finder.h"
#include "ridgeline/text/tool_calls/tool_call_parser.h"

namespace ridgeline {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kOpen = "<tool_call>";
constexpr std::string_view kClose = "</tool_call>";
constexpr std::string_view kFunction = "<function=";
constexpr std::string_view kFunctionEnd = "</function>";
constexpr std::string_view kParameter = "<parameter=";
constexpr std::string_view kParameterEnd = "</parameter>";

/// The type that the schema gives a parameter; "" if it gives none.
std::string type_of(const Json& schema, const std::string& parameter) {
  const auto properties = schema.find("properties");
  if (!schema.is_object() || properties == schema.end() || !properties->is_object()) return "";
  const auto property = properties->find(parameter);
  if (property == properties->end() || !property->is_object()) return "";
  const auto type = property->find("type");
  return type != property->end() && type->is_string() ? type->get<std::string>() : "";
}

/// Qwen3-Coder's calls, whose values are bare texts: those of a parameter of another type than
/// string are read as JSON where they are such.
class QwenCoderParser : public ToolCallParser {
 public:
  explicit QwenCoderParser(std::vector<ToolFunction> functions)
      : functions_(std::move(functions)) {}

  bool control(std::string_view token, OutputPieces& out) override {
    if (token != kOpen && token != kClose) return false;
    push(token, out);
    return true;
  }

  void finish(OutputPieces& out) override {
    if (state_ == State::kText) {
      if (!behind_call_ || text_.held().find_first_not_of(" \t\r\n") != std::string::npos)
        out.content(text_.held());
    } else if (state_ == State::kOpened || state_ == State::kName) {
      out.content(raw_);
    } else if (state_ == State::kValue) {  // cut off, as all of the call is
      std::string rest = std::exchange(value_, {}) + value_end_.take_held();
      argument(rest, out);
    }
  }

 protected:
  void step(char c, OutputPieces& out) override {
    std::string certain;
    switch (state_) {
      case State::kText: {
        const bool opened = text_.push(c, certain);
        if (!certain.empty()) behind_call_ = false;
        out.content(certain);
        if (!opened) return;
        raw_ = text_.take_held();
        tag_.clear();
        state_ = State::kOpened;
        return;
      }
      case State::kOpened:
        raw_ += c;
        if (tag_.empty() && is_json_space(c)) return;
        tag_ += c;
        if (!kFunction.starts_with(tag_)) return give_up(c, out);
        if (tag_ == kFunction) {
          tag_.clear();
          state_ = State::kName;
        }
        return;
      case State::kName:
        raw_ += c;
        if (c == '<' || is_json_space(c)) return give_up(c, out);
        if (c != '>') {
          tag_ += c;
          return;
        }
        if (tag_.empty()) return give_up(c, out);
        begin_call(out);
        return;
      case State::kBody:
        in_body(c, out);
        return;
      case State::kKey:
        if (c != '>') {
          tag_ += c;
          return;
        }
        key_ = std::exchange(tag_, {});
        state_ = State::kValue;
        return;
      case State::kValue: {
        const bool ended = value_end_.push(c, value_);
        if (!ended) return;
        std::string held = value_end_.take_held();
        held.resize(held.size() - kParameterEnd.size());
        argument(std::exchange(value_, {}) + held, out);
        state_ = State::kBody;
        return;
      }
      case State::kBehind:
        if (close_.push(c, certain)) {
          close_.take_held();
          leave();
        } else if (!certain.empty()) {
          certain += close_.take_held();
          leave();
          push(certain, out);
        }
        return;
    }
  }

 private:
  enum class State { kText, kOpened, kName, kBody, kKey, kValue, kBehind };

  void leave() {
    state_ = State::kText;
    behind_call_ = true;
  }

  void give_up(char c, OutputPieces& out) {
    raw_.pop_back();
    out.content(raw_);
    state_ = State::kText;
    behind_call_ = false;
    step(c, out);
  }

  void begin_call(OutputPieces& out) {
    schema_ = Json();
    for (const ToolFunction& f : functions_)
      if (f.name == tag_ && !f.parameters.empty())
        schema_ = Json::parse(f.parameters, nullptr, /*allow_exceptions=*/false);
    out.call(calls_++, tag_);
    out.arguments(calls_ - 1, "{");
    num_arguments_ = 0;
    tag_.clear();
    state_ = State::kBody;
  }

  /// Between parameters; what is no tag there is dropped, as it can belong to no argument.
  void in_body(char c, OutputPieces& out) {
    tag_ += c;
    if (tag_ == kParameter) {
      tag_.clear();
      state_ = State::kKey;
    } else if (tag_ == kFunctionEnd) {
      tag_.clear();
      out.arguments(calls_ - 1, "}");
      state_ = State::kBehind;
    } else if (!kParameter.starts_with(tag_) && !kFunctionEnd.starts_with(tag_)) {
      tag_.clear();
      if (c == '<') tag_ = c;
    }
  }

  void argument(std::string text, OutputPieces& out) {
    if (text.starts_with('\n')) text.erase(0, 1);
    if (text.ends_with('\n')) text.pop_back();
    Json value = text;
    if (const std::string type = type_of(schema_, key_); type != "string") {
      Json parsed = Json::parse(text, nullptr, /*allow_exceptions=*/false);
      if (!parsed.is_discarded() && !(type.empty() && parsed.is_string()))
        value = std::move(parsed);
      if (type == "boolean" && (text == "True" || text == "False")) value = text == "True";
    }
    std::string written = num_arguments_++ == 0 ? "" : ", ";
    written += Json(key_).dump(-1, ' ', false, Json::error_handler_t::replace) + ": " +
               value.dump(-1, ' ', false, Json::error_handler_t::replace);
    out.arguments(calls_ - 1, written);
  }

  std::vector<ToolFunction> functions_;
  State state_ = State::kText;
  TagFinder text_{kOpen}, value_end_{kParameterEnd}, close_{kClose};
  std::string raw_, tag_, key_, value_;
  Json schema_;
  int num_arguments_ = 0;
  bool behind_call_ = false;
};

}  // namespace

std::unique_ptr<ToolCallParser> make_qwen_coder_parser(std::vector<ToolFunction> functions) {
  return std::make_unique<QwenCoderParser>(std::move(functions));
}

}  // namespace ridgeline
