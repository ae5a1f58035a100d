#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "ridgeline/text/jinja/format_string.h"
#include "ridgeline/text/jinja/operators.h"
#include "ridgeline/text/jinja/unicode.h"

namespace ridgeline::jinja {
namespace {

/// With a comma or underscore between groups of digits of the whole part.
std::string grouped(const std::string& digits, char separator, std::size_t group) {
  std::size_t whole = 0;
  while (whole < digits.size() && std::isxdigit(static_cast<unsigned char>(digits[whole]))) ++whole;
  std::string out;
  for (std::size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % group == 0) out += separator;
    out += digits[i];
  }
  return out + digits.substr(whole);
}

std::string in_base(std::uint64_t value, unsigned base, bool upper) {
  std::string digits;
  do {
    digits += (upper ? "0123456789ABCDEF" : "0123456789abcdef")[value % base];
    value /= base;
  } while (value != 0);
  std::ranges::reverse(digits);
  return digits;
}

}  // namespace

void append_padded(const FormatSpec& spec, std::string_view text, char align, TextBuilder& out) {
  const auto length = static_cast<std::int64_t>(code_points(text));
  const std::int64_t missing = std::max<std::int64_t>(spec.width - length, 0);
  const std::int64_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  out.append_repeated(static_cast<std::size_t>(left), spec.fill);
  out.append(text);
  out.append_repeated(static_cast<std::size_t>(missing - left), spec.fill);
}

void append_number(const FormatSpec& spec, bool negative, std::string digits, TextBuilder& out) {
  if (spec.grouping != 0)
    digits = grouped(digits, spec.grouping, std::string_view("xXob").find(spec.type) < 4 ? 4 : 3);
  std::string sign = negative ? "-" : spec.sign == '+' ? "+" : spec.sign == ' ' ? " " : "";
  if (spec.alternate && std::string_view("xXob").find(spec.type) < 4) sign += {'0', spec.type};
  if (spec.align == '=' || (spec.align == 0 && spec.zero)) {
    out.append(sign);
    FormatSpec inner = spec;
    if (spec.align == 0) inner.fill.assign(1, '0');
    inner.width -= static_cast<std::int64_t>(sign.size());
    append_padded(inner, digits, '>', out);
  } else {
    append_padded(spec, sign + digits, spec.align == 0 ? '>' : spec.align, out);
  }
}

void append_integer(const FormatSpec& spec, std::int64_t value, TextBuilder& out) {
  const bool negative = value < 0;
  const std::uint64_t size =
      negative ? ~static_cast<std::uint64_t>(value) + 1 : static_cast<std::uint64_t>(value);
  unsigned base = 10;
  if (spec.type == 'x' || spec.type == 'X') base = 16;
  if (spec.type == 'o') base = 8;
  if (spec.type == 'b') base = 2;
  append_number(spec, negative, in_base(size, base, spec.type == 'X'), out);
}

std::string print_float(double value, char type, std::int64_t precision, bool alternate) {
  constexpr std::int64_t kMaxPrecision = 1000;
  if (precision > kMaxPrecision)
    throw TemplateError{fmt::format("a precision of {} is too large", precision)};
  const char format[] = {'%',
                         alternate ? '#' : '.',
                         alternate ? '.' : '*',
                         alternate ? '*' : type,
                         alternate ? type : '\0',
                         '\0'};
  const int digits = precision < 0 ? 6 : static_cast<int>(precision);
  std::string text(2048, '\0');
  const int n = std::snprintf(text.data(), text.size(), format, digits, value);
  text.resize(static_cast<std::size_t>(std::max(n, 0)));
  return text;
}

void append_float(const FormatSpec& spec, double value, TextBuilder& out) {
  const bool negative = std::signbit(value) && !std::isnan(value);
  std::string digits;
  if (spec.type == '%') {
    digits = print_float(std::abs(value) * 100, 'f', spec.precision, spec.alternate);
    digits += '%';
  } else if (spec.type == 0 && spec.precision < 0) {
    digits = float_repr(std::abs(value));
  } else if (spec.type == 0) {
    // As g, but with at least one digit behind the point.
    digits = print_float(std::abs(value), 'g', std::max<std::int64_t>(spec.precision, 1), false);
    if (digits.find_first_of(".en") == digits.npos) digits += ".0";
  } else {
    digits = print_float(std::abs(value), spec.type, spec.precision, spec.alternate);
  }
  append_number(spec, negative, std::move(digits), out);
}

}  // namespace ridgeline::jinja
