#include "ridgeline/text/tool_calls/json_call.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ridgeline {

std::optional<std::string> unquoted_json(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_string()) return std::nullopt;
  return json.get<std::string>();
}

JsonValueScanner::State JsonValueScanner::push(char c) {
  if (in_string_) {
    if (escaped_)
      escaped_ = false;
    else if (c == '\\')
      escaped_ = true;
    else if (c == '"') {
      in_string_ = false;
      if (closing_.empty()) return State::kDone;
    }
    return State::kOpen;
  }
  if (scalar_ && (c == ',' || c == '}' || c == ']' || is_json_space(c))) return State::kEnded;
  switch (c) {
    case '"':
      if (scalar_) return State::kBroken;
      in_string_ = true;
      return State::kOpen;
    case '{':
    case '[':
      if (scalar_) return State::kBroken;
      closing_ += c == '{' ? '}' : ']';
      return State::kOpen;
    case '}':
    case ']':
      if (closing_.empty() || closing_.back() != c) return State::kBroken;
      closing_.pop_back();
      return closing_.empty() ? State::kDone : State::kOpen;
    default:
      if (closing_.empty()) scalar_ = true;
      return State::kOpen;
  }
}

JsonCall::State JsonCall::push(char c) {
  if (at_ != At::kInKey && at_ != At::kInValue && is_json_space(c)) return State::kOpen;
  switch (at_) {
    case At::kBrace:
      at_ = At::kFirstKey;
      return c == '{' ? State::kOpen : State::kBroken;
    case At::kFirstKey:
      if (c == '}') return close();
      [[fallthrough]];
    case At::kKey:
      if (c != '"') return State::kBroken;
      value_ = c;
      scanner_.reset();
      scanner_.push(c);
      at_ = At::kInKey;
      return State::kOpen;
    case At::kInKey:
      value_ += c;
      if (scanner_.push(c) == JsonValueScanner::State::kDone) {
        key_ = unquoted_json(value_).value_or("");
        at_ = At::kColon;
      }
      return State::kOpen;
    case At::kColon:
      at_ = At::kValue;
      return c == ':' ? State::kOpen : State::kBroken;
    case At::kValue:
      return begin_value(c);
    case At::kInValue:
      return in_value(c);
    case At::kBehind:
      if (c == '}') return close();
      at_ = At::kKey;
      return c == ',' ? State::kOpen : State::kBroken;
  }
  return State::kBroken;
}

JsonCall::State JsonCall::begin_value(char c) {
  scanner_.reset();
  value_.clear();
  at_ = At::kInValue;
  streams_ = is_arguments() && c == '{';
  if (streams_ && std::exchange(has_arguments_, true)) {
    streams_ = false;
    return State::kBroken;
  }
  settle();
  return in_value(c);
}

JsonCall::State JsonCall::in_value(char c) {
  const JsonValueScanner::State state = scanner_.push(c);
  if (state == JsonValueScanner::State::kEnded) {
    const State ended = end_value();
    return ended == State::kOpen ? push(c) : ended;
  }
  (streams_ ? arguments_ : value_) += c;
  if (state == JsonValueScanner::State::kBroken) return State::kBroken;
  return state == JsonValueScanner::State::kDone ? end_value() : State::kOpen;
}

JsonCall::State JsonCall::end_value() {
  at_ = At::kBehind;
  if (std::exchange(streams_, false)) return State::kOpen;
  if (key_ == "name") {
    const std::optional<std::string> name = unquoted_json(value_);
    if (!name || name->empty() || !name_.empty()) return State::kBroken;
    if (!names_.empty() && std::ranges::find(names_, *name) == names_.end()) return State::kBroken;
    name_ = *name;
  } else if (is_arguments()) {  // some models write them as a string of JSON, or none as null
    std::optional<std::string> text = unquoted_json(value_);
    if (!text && value_ == "null") text = "{}";
    if (!text || std::exchange(has_arguments_, true)) return State::kBroken;
    arguments_ = *std::move(text);
  }
  settle();
  return State::kOpen;
}

JsonCall::State JsonCall::close() {
  if (!certain_) {
    if (name_.empty() || !names_.empty()) return State::kBroken;
    arguments_ = "{}";
    certain_ = true;
  }
  return State::kDone;
}

}  // namespace ridgeline
