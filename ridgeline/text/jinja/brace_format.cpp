#include <algorithm>
#include <charconv>
#include <cmath>

#include "ridgeline/text/jinja/format_string.h"
#include "ridgeline/text/jinja/operators.h"
#include "ridgeline/text/jinja/unicode.h"
#include "ridgeline/text/utf8.h"

namespace ridgeline::jinja {
namespace {

bool all_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

std::int64_t small_number(std::string_view digits) {
  std::int64_t value = 0;
  const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (end.ec != std::errc() || value > INT32_MAX)
    throw TemplateError{"too many decimal digits in format string"};
  return value;
}

/// PEP 3101's [[fill]align][sign][#][0][width][grouping][.precision][type].
FormatSpec parse_spec(std::string_view text) {
  FormatSpec spec;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  const auto take = [&text](auto accepts) {
    char c = 0;
    if (!text.empty() && accepts(text[0])) {
      c = text[0];
      text.remove_prefix(1);
    }
    return c;
  };
  const auto digits = [&text] {
    std::size_t n = 0;
    while (n < text.size() && text[n] >= '0' && text[n] <= '9') ++n;
    const std::string_view found = text.substr(0, n);
    text.remove_prefix(n);
    return found;
  };
  const std::size_t fill = text.empty() ? 0 : first_length(text);
  if (text.size() > fill && fill > 0 && is_align(text[fill])) {
    spec.fill = text.substr(0, fill);
    text.remove_prefix(fill);
  }
  spec.align = take(is_align);
  if (const char c = take([](char x) { return x == '+' || x == '-' || x == ' '; })) spec.sign = c;
  spec.alternate = take([](char c) { return c == '#'; }) != 0;
  spec.zero = take([](char c) { return c == '0'; }) != 0;
  if (const auto width = digits(); !width.empty()) spec.width = small_number(width);
  spec.grouping = take([](char c) { return c == ',' || c == '_'; });
  if (take([](char c) { return c == '.'; })) {
    const auto precision = digits();
    if (precision.empty()) throw TemplateError{"Format specifier missing precision"};
    spec.precision = small_number(precision);
  }
  spec.type = take([](char) { return true; });
  if (!text.empty()) throw TemplateError{"Invalid format specifier"};
  return spec;
}

void append_formatted(Runtime& runtime, const Value& value, std::string_view spec_text,
                      TextBuilder& out) {
  if (spec_text.empty()) return append_str(runtime, value, out);
  FormatSpec spec = parse_spec(spec_text);
  const auto unknown = [&] {
    throw TemplateError{std::string("Unknown format code '") + spec.type +
                        "' for object of type '" + type_name(value) + "'"};
  };
  const bool as_float = spec.type != 0 && std::string_view("eEfFgG%").find(spec.type) < 7;
  if (value.kind() == Value::Kind::kFloat || (value.is_number() && as_float)) {
    if (spec.type != 0 && !as_float) unknown();
    return append_float(spec, value.number(), out);
  }
  if (value.kind() == Value::Kind::kInt || (value.is_bool() && spec.type != 0)) {
    if (spec.type != 0 && std::string_view("dxXobn").find(spec.type) > 5) unknown();
    return append_integer(spec, value.integer(), out);
  }
  if (!value.is_string() && !value.is_bool())
    throw_type_error(std::string("unsupported format string passed to ") + type_name(value) +
                     ".__format__");
  if (spec.type != 0 && spec.type != 's') unknown();
  if (spec.align == '=')
    throw TemplateError{"'=' alignment not allowed in string format specifier"};
  std::string text = to_str(runtime, value);
  if (spec.precision >= 0) text.resize(byte_offset(text, static_cast<std::size_t>(spec.precision)));
  if (spec.zero && spec.fill == " ") spec.fill = "0";
  append_padded(spec, text, spec.align == 0 ? '<' : spec.align, out);
}

class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const Value& format, const Arguments& arguments)
      : runtime_(runtime), markup_(format.string().markup), arguments_(arguments) {}

  void append(std::string_view text, TextBuilder& out, int depth) {
    if (depth > 2) throw TemplateError{"Max string recursion exceeded"};
    while (!text.empty()) {
      const std::size_t brace = text.find_first_of("{}");
      out.append(text.substr(0, brace));
      if (brace == text.npos) return;
      text.remove_prefix(brace);
      if (text.size() > 1 && text[1] == text[0]) {
        out.append(text.substr(0, 1));
        text.remove_prefix(2);
        continue;
      }
      if (text[0] == '}') throw TemplateError{"Single '}' encountered in format string"};
      const std::size_t end = closing_brace(text);
      field(text.substr(1, end - 1), out, depth);
      text.remove_prefix(end + 1);
    }
  }

 private:
  static std::size_t closing_brace(std::string_view text) {
    int open = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '{') ++open;
      if (text[i] == '}' && --open == 0) return i;
    }
    throw TemplateError{"expected '}' before end of string"};
  }

  void field(std::string_view body, TextBuilder& out, int depth) {
    const std::size_t name_end = std::min(body.find_first_of("!:"), body.size());
    Value value = lookup(body.substr(0, name_end));
    std::string_view rest = body.substr(name_end);
    if (rest.starts_with('!')) {
      if (rest.size() < 2 || (rest.size() > 2 && rest[2] != ':'))
        throw TemplateError{"expected ':' after conversion specifier"};
      if (rest[1] != 's' && rest[1] != 'r')
        throw TemplateError{std::string("Unknown conversion specifier '") + rest[1] + "'"};
      value = runtime_.string(rest[1] == 's' ? to_str(runtime_, value) : to_repr(runtime_, value));
      rest.remove_prefix(2);
    }
    TextBuilder spec(runtime_);
    if (rest.starts_with(':')) append(rest.substr(1), spec, depth + 1);
    if (markup_ && !(value.is_string() && value.string().markup)) {
      TextBuilder plain(runtime_);
      append_formatted(runtime_, value, spec.text(), plain);
      return out.append(escape_markup(plain.text()));
    }
    append_formatted(runtime_, value, spec.text(), out);
  }

  /// "0", "name", "" (the next one), each with .attributes and [items] behind.
  Value lookup(std::string_view name) {
    const std::size_t end = std::min(name.find_first_of(".["), name.size());
    Value value = first(name.substr(0, end));
    name.remove_prefix(end);
    while (!name.empty()) {
      const bool attribute = name[0] == '.';
      const std::size_t stop =
          attribute ? std::min(name.find_first_of(".[", 1), name.size()) : name.find(']');
      if (stop == name.npos) throw TemplateError{"Missing ']' in format string"};
      const std::string_view key = name.substr(1, stop - 1);
      if (key.empty()) throw TemplateError{"Empty attribute in format string"};
      if (attribute) {
        value = get_attribute(runtime_, value, std::string(key));
      } else {
        value = get_item(runtime_, value,
                         all_digits(key) ? Value::integer(small_number(key))
                                         : runtime_.string(std::string(key)));
      }
      name.remove_prefix(attribute ? stop : stop + 1);
    }
    return value;
  }

  Value first(std::string_view name) {
    if (name.empty() || all_digits(name)) {
      const bool automatic = name.empty();
      if (automatic ? manual_ : next_ > 0)
        throw TemplateError{"cannot mix automatic field numbering and manual field specification"};
      manual_ = !automatic;
      const auto i = automatic ? next_++ : static_cast<std::size_t>(small_number(name));
      if (i >= arguments_.positional.size())
        throw TemplateError{"Replacement index " + std::to_string(i) +
                            " out of range for positional args tuple"};
      return arguments_.positional[i];
    }
    for (const auto& [key, value] : arguments_.keyword)
      if (key == name) return value;
    throw TemplateError{"the format's field '" + std::string(name) +
                        "' is not among the arguments"};
  }

  Runtime& runtime_;
  bool markup_;
  const Arguments& arguments_;
  std::size_t next_ = 0;
  bool manual_ = false;
};

}  // namespace

Value brace_format(Runtime& runtime, const Value& format, const Arguments& arguments) {
  TextBuilder out(runtime);
  BraceFormatter(runtime, format, arguments).append(format.text(), out, 0);
  return out.to_value(format.string().markup);
}

}  // namespace ridgeline::jinja
