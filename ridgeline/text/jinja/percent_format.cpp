#include <cmath>

#include "ridgeline/text/jinja/format_string.h"
#include "ridgeline/text/jinja/operators.h"
#include "ridgeline/text/jinja/unicode.h"
#include "ridgeline/text/utf8.h"

namespace ridgeline::jinja {
namespace {

class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, const Value& format, const Value& arguments)
      : runtime_(runtime),
        out_(runtime),
        format_(format.text()),
        markup_(format.string().markup),
        arguments_(arguments) {
    if (arguments.kind() == Value::Kind::kTuple) {
      remaining_ = arguments.items();
    } else {
      remaining_ = {arguments};
    }
  }

  Value run() {
    while (at_ < format_.size()) {
      const std::size_t percent = format_.find('%', at_);
      out_.append(format_.substr(at_, percent - at_));
      if (percent == format_.npos) break;
      at_ = percent + 1;
      conversion();
    }
    const bool mapping = arguments_.is_dict() || arguments_.kind() == Value::Kind::kList ||
                         arguments_.is_undefined();
    if (used_ < remaining_.size() && !mapping)
      throw_type_error("not all arguments converted during string formatting");
    return out_.to_value(markup_);
  }

 private:
  char peek() const {
    if (at_ >= format_.size()) throw TemplateError{"incomplete format"};
    return format_[at_];
  }

  const Value& next_argument() {
    if (used_ >= remaining_.size()) throw_type_error("not enough arguments for format string");
    return remaining_[used_++];
  }

  std::int64_t number_or_star() {
    if (peek() == '*') {
      ++at_;
      const Value& value = next_argument();
      if (!value.is_integral()) throw_type_error("* wants int");
      return value.integer();
    }
    std::int64_t value = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      value = value * 10 + (peek() - '0');
      if (value > INT32_MAX) throw TemplateError{"width too big"};
    }
    return value;
  }

  FormatSpec spec() {
    FormatSpec spec;
    spec.align = '>';
    for (;; ++at_) {
      const char c = peek();
      if (c == '-') {
        spec.align = '<';
      } else if (c == '+' || (c == ' ' && spec.sign != '+')) {
        spec.sign = c;
      } else if (c == '0') {
        spec.zero = true;
      } else if (c == '#') {
        spec.alternate = true;
      } else if (c != ' ') {
        break;
      }
    }
    spec.width = number_or_star();
    if (spec.width < 0) {
      spec.align = '<';
      spec.width = -spec.width;
    }
    if (peek() == '.') {
      ++at_;
      spec.precision = std::max<std::int64_t>(number_or_star(), 0);
    }
    while (peek() == 'h' || peek() == 'l' || peek() == 'L') ++at_;
    return spec;
  }

  void conversion() {
    const Value* value = nullptr;
    if (peek() == '(') {
      const std::size_t end = format_.find(')', at_);
      if (end == format_.npos) throw TemplateError{"incomplete format key"};
      if (!arguments_.is_dict()) throw_type_error("format requires a mapping");
      const std::string_view key = format_.substr(at_ + 1, end - at_ - 1);
      value = arguments_.dict().find(key);
      if (value == nullptr)
        throw TemplateError{"the format's key '" + std::string(key) + "' is not there"};
      at_ = end + 1;
    }
    FormatSpec s = spec();
    const char type = peek();
    ++at_;
    if (type == '%') return out_.append("%");
    if (value == nullptr) value = &next_argument();
    convert(std::move(s), type, *value);
  }

  void convert(FormatSpec spec, char type, const Value& value) {
    switch (type) {
      case 's':
      case 'r':
      case 'a': {
        std::string text = type == 's' ? to_str(runtime_, value) : to_repr(runtime_, value);
        if (spec.precision >= 0)
          text.resize(byte_offset(text, static_cast<std::size_t>(spec.precision)));
        if (markup_ && !(value.is_string() && value.string().markup)) text = escape_markup(text);
        return append_padded(spec, text, spec.align, out_);
      }
      case 'c':
        return append_padded(spec, character(value), spec.align, out_);
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return integer(std::move(spec), type, value);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        require_defined(value);
        if (!value.is_number())
          throw_type_error(std::string("must be real number, not ") + type_name(value));
        spec.type = type;
        if (spec.precision < 0) spec.precision = 6;
        if (spec.zero && spec.align == '>') spec.align = 0;
        return append_float(spec, value.number(), out_);
      default:
        throw TemplateError{std::string("unsupported format character '") + type + "'"};
    }
  }

  std::string character(const Value& value) {
    if (value.is_string() && value.string().length == 1) return value.text();
    if (!value.is_integral() || value.integer() < 0 || value.integer() >= 0x110000)
      throw_type_error("%c requires int or char");
    std::string text;
    append_utf8(static_cast<char32_t>(value.integer()), text);
    return text;
  }

  void integer(FormatSpec spec, char type, const Value& value) {
    require_defined(value);
    const bool decimal = type == 'd' || type == 'i' || type == 'u';
    std::int64_t number = 0;
    if (value.is_integral()) {
      number = value.integer();
    } else if (decimal && value.is_number() && std::abs(value.number()) < 9e18) {
      number = static_cast<std::int64_t>(value.number());
    } else {
      throw_type_error(std::string("%") + type +
                       " format: " + (decimal ? "a real number" : "an integer") +
                       " is required, not " + type_name(value));
    }
    spec.type = decimal ? 'd' : type;
    if (spec.zero && spec.align == '>') spec.align = 0;
    append_integer(spec, number, out_);
  }

  Runtime& runtime_;
  TextBuilder out_;
  std::string_view format_;
  bool markup_;
  const Value& arguments_;
  Values remaining_;
  std::size_t used_ = 0;
  std::size_t at_ = 0;
};

}  // namespace

Value percent_format(Runtime& runtime, const Value& format, const Value& arguments) {
  return PercentFormatter(runtime, format, arguments).run();
}

}  // namespace ridgeline::jinja
