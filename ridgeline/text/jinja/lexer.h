#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/text/jinja/limits.h"
#include "ridgeline/text/jinja/value.h"

namespace ridgeline::jinja {

struct Token {
  enum class Type : std::uint8_t {
    kData,
    kVariableBegin,
    kVariableEnd,
    kBlockBegin,
    kBlockEnd,
    kName,
    kString,
    kInteger,
    kFloat,
    kOperator,
    kEnd,
  };
  Type type;
  int line;
  std::string text;  ///< of data, names, strings (without escapes) and operators
  Value value;       ///< of numbers
};

/// A template's tokens, with the whitespace that trim_blocks, lstrip_blocks and the
/// signs at tags take away gone; comments are gone too. Ends with kEnd. Throws
/// TemplateError with a line.
std::vector<Token> tokenize(std::string_view source);

/// For errors: "end of print statement", "'name'".
std::string describe(const Token& token);

}  // namespace ridgeline::jinja
