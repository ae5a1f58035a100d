#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace ridgeline {

/// Finds the end of a JSON value that arrives byte by byte: brackets and strings are followed,
/// what stands between them is not looked at.
class JsonValueScanner {
 public:
  enum class State {
    kOpen,
    kDone,   ///< the byte was the value's last
    kEnded,  ///< a number or name has ended before this byte, which is not a part of it
    kBroken,
  };
  State push(char c);
  void reset() { *this = {}; }

 private:
  std::string closing_;  ///< brackets that are still to come, innermost last
  bool in_string_ = false, escaped_ = false, scalar_ = false;
};

/// A call written as a JSON object, byte by byte: its name and its arguments, whatever their
/// order and whatever else it holds. It is a call from the moment that it is `certain`, which
/// is when its name is known and its arguments have begun; what comes out of it does not depend
/// on how the text was cut.
class JsonCall {
 public:
  enum class State {
    kOpen,
    kDone,    ///< the byte was the closing brace
    kBroken,  ///< this is no call; if it was certain already, its arguments are no JSON
  };
  /// `names`: only these are calls, and only with arguments. Empty: any name.
  explicit JsonCall(std::span<const std::string> names = {}) : names_(names) {}

  State push(char c);
  bool certain() const { return certain_; }
  const std::string& name() const { return name_; }
  /// Broken within the arguments, so that it is not known where they end.
  bool broken_in_arguments() const { return at_ == At::kInValue && streams_; }
  /// What is new of the arguments' text since the last call.
  std::string take_arguments() { return std::exchange(arguments_, {}); }

 private:
  enum class At { kBrace, kFirstKey, kKey, kInKey, kColon, kValue, kInValue, kBehind };
  State begin_value(char c);
  State in_value(char c);
  State end_value();
  State close();
  bool is_arguments() const { return key_ == "arguments" || key_ == "parameters"; }
  void settle() { certain_ = certain_ || (!name_.empty() && has_arguments_); }

  std::span<const std::string> names_;
  At at_ = At::kBrace;
  std::string key_, value_;  ///< as written, quotes included
  std::string name_, arguments_;
  JsonValueScanner scanner_;
  bool certain_ = false, has_arguments_ = false;
  bool streams_ = false;  ///< the value at hand is the arguments' object
};

/// The text of a JSON string, quotes included; absent: it is none.
std::optional<std::string> unquoted_json(std::string_view text);

inline bool is_json_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace ridgeline
