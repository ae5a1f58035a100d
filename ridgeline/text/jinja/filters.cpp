#include "ridgeline/text/jinja/filters.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "ridgeline/text/jinja/format_string.h"
#include "ridgeline/text/jinja/json.h"
#include "ridgeline/text/jinja/operators.h"
#include "ridgeline/text/jinja/parameters.h"
#include "ridgeline/text/jinja/unicode.h"

namespace ridgeline::jinja {
namespace {

Value filter_default(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("default", arguments, {"default_value", "boolean"});
  const bool replaced =
      input.is_undefined() || (p.truth(runtime, 1, false) && !truth(runtime, input));
  if (!replaced) return input;
  return p.has(0) ? p[0] : runtime.string("");
}

Value filter_abs(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("abs", arguments, {});
  require_defined(input);
  if (!input.is_number())
    throw_type_error(std::string("bad operand type for abs(): '") + type_name(input) + "'");
  const bool negative = input.kind() == Value::Kind::kFloat
                            ? std::signbit(input.number())
                            : less(runtime, input, Value::integer(0));
  return negative ? negate(input) : plus(input);
}

Value filter_attr(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("attr", arguments, {"name"}, 1);
  require_defined(input);
  // Keys of a dict are no attributes.
  Value found = get_attribute(runtime, input, p.text(0));
  const bool is_key = input.is_dict() && found.kind() != Value::Kind::kFunction &&
                      input.dict().find(std::string_view(p.text(0))) != nullptr;
  return is_key ? runtime.undefined_member(input, p[0]) : found;
}

/// Python's int(text, base): spaces around, a sign, underscores between digits.
std::optional<std::int64_t> parse_integer(std::string_view text, int base) {
  text = strip_spaces(text, Ends::kBoth);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const auto has_prefix = [&text](char letter) {
    return text.size() > 2 && text[0] == '0' && (text[1] | 32) == letter;
  };
  for (const auto& [letter, of] : {std::pair{'x', 16}, {'o', 8}, {'b', 2}}) {
    if (!has_prefix(letter) || (base != of && base != 0)) continue;
    base = of;
    text.remove_prefix(text[2] == '_' ? 3 : 2);
    break;
  }
  if (base == 0) base = 10;
  if (base < 2 || base > 36) throw TemplateError{"int() base must be >= 2 and <= 36, or 0"};
  std::string digits;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool between = i > 0 && i + 1 < text.size() && text[i - 1] != '_';
    if (text[i] != '_') {
      digits += text[i];
    } else if (!between) {
      return std::nullopt;
    }
  }
  if (digits.empty() || digits[0] == '-') return std::nullopt;
  if (negative) digits.insert(digits.begin(), '-');
  std::int64_t value = 0;
  const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (end.ptr != digits.data() + digits.size()) return std::nullopt;
  if (end.ec == std::errc::result_out_of_range)
    throw TemplateError{fmt::format("the integer {:.40} is beyond 64 bits", digits)};
  return value;
}

/// Python's float(text).
std::optional<double> parse_float(std::string_view text) {
  text = strip_spaces(text, Ends::kBoth);
  std::string digits;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit_at = [&](std::size_t at) {
      return at < text.size() && text[at] >= '0' && text[at] <= '9';
    };
    if (text[i] != '_') {
      digits += text[i];
    } else if (i == 0 || !digit_at(i - 1) || !digit_at(i + 1)) {
      return std::nullopt;
    }
  }
  const bool has_sign = digits.starts_with('+') || digits.starts_with('-');
  const bool negative = digits.starts_with('-');
  if (has_sign) digits.erase(0, 1);
  if (digits.empty() || digits[0] == '-') return std::nullopt;
  double value = 0;
  const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (end.ptr != digits.data() + digits.size() || digits.find('(') != digits.npos)
    return std::nullopt;
  if (end.ec == std::errc::result_out_of_range)
    value = digits.find("e-") != digits.npos || digits.find("E-") != digits.npos ? 0 : HUGE_VAL;
  return negative ? -value : value;
}

std::optional<Value> float_to_integer(double d) {
  if (std::isnan(d) || std::isinf(d)) return std::nullopt;
  if (std::abs(d) >= 9.2e18) throw TemplateError{"the number is beyond 64 bits"};
  return Value::integer(static_cast<std::int64_t>(d));
}

Value filter_int(Runtime&, const Value& input, const Arguments& arguments) {
  const Parameters p("int", arguments, {"default", "base"});
  require_defined(input);
  const Value otherwise = p.has(0) ? p[0] : Value::integer(0);
  if (input.is_integral()) return Value::integer(input.integer());
  if (input.is_number()) return float_to_integer(input.number()).value_or(otherwise);
  if (!input.is_string()) return otherwise;
  const auto base = std::clamp<std::int64_t>(p.integer(1, 10), -1, 99);
  if (const auto value = parse_integer(input.text(), static_cast<int>(base)))
    return Value::integer(*value);
  if (const auto value = parse_float(input.text()))  // so that "42.23" is 42
    return float_to_integer(*value).value_or(otherwise);
  return otherwise;
}

Value filter_float(Runtime&, const Value& input, const Arguments& arguments) {
  const Parameters p("float", arguments, {"default"});
  require_defined(input);
  const Value otherwise = p.has(0) ? p[0] : Value::number(0);
  if (input.is_number()) return Value::number(input.number());
  if (!input.is_string()) return otherwise;
  const auto value = parse_float(input.text());
  return value ? Value::number(*value) : otherwise;
}

Value round_integer(std::int64_t value, std::int64_t precision) {
  if (precision >= 0) return Value::integer(value);
  if (precision < -18) return Value::integer(0);
  std::int64_t unit = 1;
  for (; precision < 0; ++precision) unit *= 10;
  std::int64_t quotient = value / unit, rest = value % unit;
  if (rest < 0) {
    rest += unit;
    --quotient;
  }
  if (rest > unit - rest || (rest == unit - rest && quotient % 2 != 0)) ++quotient;  // half to even
  if (__builtin_mul_overflow(quotient, unit, &value))
    throw TemplateError{"an integer is beyond 64 bits"};
  return Value::integer(value);
}

double round_float(double value, std::int64_t precision) {
  if (!std::isfinite(value) || precision > 300) return value;
  if (precision < -308) return std::copysign(0.0, value);
  if (precision < 0) {
    const double unit = std::pow(10.0, static_cast<double>(-precision));
    return std::nearbyint(value / unit) * unit;
  }
  const std::string text = print_float(value, 'f', precision, false);
  double rounded = 0;
  std::from_chars(text.data(), text.data() + text.size(), rounded);
  return rounded;
}

Value filter_round(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("round", arguments, {"precision", "method"});
  const std::string method = p.has(1) ? p.text(1) : "common";
  const std::int64_t precision = p.integer(0, 0);
  require_defined(input);
  if (method != "common" && method != "ceil" && method != "floor")
    throw TemplateError{"method must be common, ceil or floor"};
  if (!input.is_number())
    throw_type_error(std::string("type ") + type_name(input) + " doesn't define __round__ method");
  if (method == "common") {
    return input.is_integral() ? round_integer(input.integer(), precision)
                               : Value::number(round_float(input.number(), precision));
  }
  const Value unit = binary(runtime, BinaryOp::kPow, Value::integer(10), Value::integer(precision));
  const Value scaled = binary(runtime, BinaryOp::kMul, input, unit);
  const double moved = method == "ceil" ? std::ceil(scaled.number()) : std::floor(scaled.number());
  return binary(runtime, BinaryOp::kDiv, Value::number(moved), unit);
}

Value filter_filesizeformat(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("filesizeformat", arguments, {"binary"});
  const std::optional<double> size = input.is_string()   ? parse_float(input.text())
                                     : input.is_number() ? std::optional(input.number())
                                                         : std::nullopt;
  if (!size) throw TemplateError{"filesizeformat expects a number"};
  const bool binary_units = p.truth(runtime, 0, false);
  const double base = binary_units ? 1024 : 1000;
  if (*size == 1) return runtime.string("1 Byte");
  if (*size < base)
    return runtime.string(fmt::format("{} Bytes", static_cast<std::int64_t>(*size)));
  constexpr std::string_view kLetters = "kMGTPEZY";
  double unit = base;
  std::size_t i = 0;
  for (; i + 1 < kLetters.size() && *size >= unit * base; ++i) unit *= base;
  const char prefix = binary_units && i == 0 ? 'K' : kLetters[i];
  return runtime.string(fmt::format("{} {}{}B", print_float(*size / unit, 'f', 1, false), prefix,
                                    binary_units ? "i" : ""));
}

Value filter_tojson(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = p.truth(runtime, 0, false);
  style.sort_keys = p.truth(runtime, 3, false);
  if (p.is_set(1)) {
    style.indented = true;
    style.item_separator.pop_back();  // no space where a line ends
    if (p[1].is_string()) {
      style.indent = p.text(1);
    } else {
      constexpr std::int64_t kMaxIndent = 1000;
      style.indent.assign(
          static_cast<std::size_t>(std::clamp<std::int64_t>(p.integer(1, 0), 0, kMaxIndent)), ' ');
    }
  }
  if (p.is_set(2)) {
    const Values both = items_of(runtime, p[2]);
    if (both.size() != 2 || !both[0].is_string() || !both[1].is_string())
      throw_type_error("tojson's separators are two strings");
    style.item_separator = both[0].text();
    style.key_separator = both[1].text();
  }
  return to_json(runtime, input, style);
}

Value filter_items(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("items", arguments, {});
  const bool defined = !input.is_undefined();
  // Like Python's generator, it complains only once it is gone through.
  auto items = std::make_shared<std::optional<Iterator>>();
  return runtime.generator(
      [defined, input, items](Runtime& r, Value& item) {
        if (!defined) return false;
        if (!input.is_dict()) throw_type_error("Can only get item pairs from a mapping.");
        if (!*items) items->emplace(r, r.view(input, DictView::Part::kItems));
        return (*items)->next(item);
      },
      {input});
}

constexpr NamedFilter kFilters[] = {
    {"abs", filter_abs},
    {"attr", filter_attr},
    {"d", filter_default},
    {"default", filter_default},
    {"filesizeformat", filter_filesizeformat},
    {"float", filter_float},
    {"int", filter_int},
    {"items", filter_items},
    {"round", filter_round},
    {"tojson", filter_tojson},
};

}  // namespace

std::span<const NamedFilter> value_filters() { return kFilters; }

Filter find_filter(std::string_view name) {
  for (const auto& list : {value_filters(), text_filters(), sequence_filters(), order_filters()}) {
    const auto found = std::ranges::find(list, name, &NamedFilter::name);
    if (found != list.end()) return found->filter;
  }
  return nullptr;
}

bool is_unsupported_filter(std::string_view name) {
  constexpr std::string_view kNames[] = {"pprint", "random", "urlize", "wordwrap"};
  return std::ranges::find(kNames, name) != std::end(kNames);
}

Value call_filter(Runtime& runtime, const std::string& name, const Value& input,
                  const Arguments& arguments) {
  const Filter filter = find_filter(name);
  if (filter == nullptr) {
    if (is_unsupported_filter(name))
      throw TemplateError{fmt::format("the filter '{}' is not supported", name)};
    throw TemplateError{fmt::format("No filter named '{}' found.", name)};
  }
  return filter(runtime, input, arguments);
}

AttributePath::AttributePath(const Value& attribute) {
  if (attribute.is_none() || attribute.is_missing()) return;
  if (!attribute.is_string()) {
    parts_.push_back(attribute);
    return;
  }
  std::string_view text = attribute.text();
  for (;;) {
    const std::size_t dot = text.find('.');
    const std::string part(text.substr(0, dot));
    const bool number = !part.empty() && part.size() < 18 &&
                        std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
    parts_.push_back(number ? Value::integer(std::stoll(part)) : make_string(part));
    if (dot == text.npos) return;
    text.remove_prefix(dot + 1);
  }
}

Value AttributePath::of(Runtime& runtime, Value item, const Value& otherwise) const {
  for (const Value& part : parts_) {
    item = get_item(runtime, item, part);
    if (item.is_undefined() && !otherwise.is_missing() && !otherwise.is_none()) item = otherwise;
  }
  return item;
}

Value ignore_case(Runtime& runtime, const Value& value) {
  return value.is_string() ? runtime.string(to_lower(value.text())) : value;
}

Value soft_string(Runtime& runtime, const Value& value) {
  return value.is_string() ? value : runtime.string(to_str(runtime, value));
}

}  // namespace ridgeline::jinja
