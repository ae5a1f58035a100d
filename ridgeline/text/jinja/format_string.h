#pragma once

#include <string>
#include <string_view>

#include "ridgeline/text/jinja/runtime.h"
#include "ridgeline/text/jinja/value.h"

namespace ridgeline::jinja {

/// format % arguments, as printf does; the arguments are a tuple, a dict or one value.
Value percent_format(Runtime& runtime, const Value& format, const Value& arguments);
/// format.format(*arguments): replacement fields in braces.
Value brace_format(Runtime& runtime, const Value& format, const Arguments& arguments);

/// What stands between % and the letter, or behind the colon of a field.
struct FormatSpec {
  std::string fill = " ";
  char align = 0;  ///< '<', '>', '^', '='; 0: as the type does
  char sign = '-';
  bool alternate = false;
  bool zero = false;
  std::int64_t width = 0;
  char grouping = 0;
  std::int64_t precision = -1;
  char type = 0;
};

/// `digits` behind a sign, filled up to the width.
void append_number(const FormatSpec& spec, bool negative, std::string digits, TextBuilder& out);
void append_integer(const FormatSpec& spec, std::int64_t value, TextBuilder& out);
void append_float(const FormatSpec& spec, double value, TextBuilder& out);
void append_padded(const FormatSpec& spec, std::string_view text, char align, TextBuilder& out);

/// printf's %.{precision}{type}; throws if the precision is out of reason.
std::string print_float(double value, char type, std::int64_t precision, bool alternate);

}  // namespace ridgeline::jinja
