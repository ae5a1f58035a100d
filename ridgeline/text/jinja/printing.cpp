#include <array>
#include <charconv>
#include <cmath>

#include "ridgeline/text/jinja/loop.h"
#include "ridgeline/text/jinja/macro.h"
#include "ridgeline/text/jinja/operators.h"
#include "ridgeline/text/jinja/unicode.h"
#include "ridgeline/text/utf8.h"

namespace ridgeline::jinja {
namespace {

using Kind = Value::Kind;

std::string hex(const char* prefix, char32_t c, int digits) {
  std::string text(static_cast<std::size_t>(digits), '0');
  for (std::size_t i = text.size(); i-- > 0; c >>= 4) text[i] = "0123456789abcdef"[c & 15];
  return prefix + text;
}

void append_escaped(char32_t c, TextBuilder& out) {
  if (c == '\n') {
    out.append("\\n");
  } else if (c == '\r') {
    out.append("\\r");
  } else if (c == '\t') {
    out.append("\\t");
  } else if (c <= 0xFF) {
    out.append(hex("\\x", c, 2));
  } else if (c <= 0xFFFF) {
    out.append(hex("\\u", c, 4));
  } else {
    out.append(hex("\\U", c, 8));
  }
}

void append_string_repr(std::string_view text, TextBuilder& out) {
  const bool double_quoted = text.find('\'') != text.npos && text.find('"') == text.npos;
  const char quote = double_quoted ? '"' : '\'';
  out.append(1, quote);
  while (!text.empty()) {
    const std::size_t n = first_length(text);
    const char32_t c = first_code_point(text);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out.append("\\");
      out.append(text.substr(0, n));
    } else if (is_printable(c)) {
      out.append(text.substr(0, n));
    } else {
      append_escaped(c, out);
    }
    text.remove_prefix(n);
  }
  out.append(1, quote);
}

void append_items(Runtime& runtime, const Values& items, TextBuilder& out) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.append(", ");
    append_repr(runtime, items[i], out);
  }
}

void append_dict(Runtime& runtime, const DictObject& dict, TextBuilder& out) {
  out.append("{");
  bool first = true;
  for (const auto& [key, value] : dict.entries) {
    if (!first) out.append(", ");
    first = false;
    append_repr(runtime, key, out);
    out.append(": ");
    append_repr(runtime, value, out);
  }
  out.append("}");
}

void append_range(const RangeObject& range, TextBuilder& out) {
  out.append("range(" + std::to_string(range.start) + ", " + std::to_string(range.stop));
  if (range.step != 1) out.append(", " + std::to_string(range.step));
  out.append(")");
}

/// Namespaces can hold themselves.
void append_namespace(Runtime& runtime, const Value& value, TextBuilder& out) {
  const Depth level(runtime.namespace_depth, 20);
  out.append("<Namespace ");
  append_dict(runtime, value.as<NamespaceObject>().attributes, out);
  out.append(">");
}

}  // namespace

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 64> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                 std::chars_format::scientific);
  std::string text(buffer.data(), end.ptr);
  const std::size_t e = text.find('e');
  const int exponent = std::stoi(text.substr(e + 1));
  // Python's repr writes an exponent below 1e-4 and from 1e16 on.
  if (exponent < -4 || exponent >= 16) return text;
  std::string sign = text[0] == '-' ? "-" : "";
  std::string digits;
  for (const char c : std::string_view(text).substr(0, e))
    if (c >= '0' && c <= '9') digits += c;
  if (exponent < 0)
    return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  const std::size_t whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return sign + digits + std::string(whole - digits.size(), '0') + ".0";
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::string escape_markup(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '\'') {
      out += "&#39;";
    } else if (c == '"') {
      out += "&#34;";
    } else {
      out += c;
    }
  }
  return out;
}

void append_str(Runtime& runtime, const Value& value, TextBuilder& out) {
  if (value.is_string()) {
    out.append(value.text());
  } else if (!value.is_undefined()) {
    append_repr(runtime, value, out);
  }
}

void append_repr(Runtime& runtime, const Value& value, TextBuilder& out) {
  runtime.step();
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
      return out.append("Undefined");
    case Kind::kNone:
      return out.append("None");
    case Kind::kBool:
      return out.append(value.integer() != 0 ? "True" : "False");
    case Kind::kInt:
      return out.append(std::to_string(value.integer()));
    case Kind::kFloat:
      return out.append(float_repr(value.number()));
    case Kind::kString:
      if (!value.string().markup) return append_string_repr(value.text(), out);
      out.append("Markup(");
      append_string_repr(value.text(), out);
      return out.append(")");
    case Kind::kList:
      out.append("[");
      append_items(runtime, value.items(), out);
      return out.append("]");
    case Kind::kTuple:
      out.append("(");
      append_items(runtime, value.items(), out);
      return out.append(value.items().size() == 1 ? ",)" : ")");
    case Kind::kDict:
      return append_dict(runtime, value.dict(), out);
    case Kind::kDictView:
      out.append(type_name(value));
      out.append("([");
      append_items(runtime, items_of(runtime, value), out);
      return out.append("])");
    case Kind::kRange:
      return append_range(value.as<RangeObject>(), out);
    case Kind::kNamespace:
      return append_namespace(runtime, value, out);
    case Kind::kLoop: {
      LoopObject& loop = value.as<LoopObject>();
      return out.append("<LoopContext " + std::to_string(loop.index0 + 1) + "/" +
                        std::to_string(loop.length(runtime)) + ">");
    }
    case Kind::kMacro:
      out.append("<Macro ");
      append_string_repr(value.as<MacroObject>().name(), out);
      return out.append(">");
    default:  // Python would tell the address too
      out.append("<");
      out.append(type_name(value));
      return out.append(" object>");
  }
}

std::string to_str(Runtime& runtime, const Value& value) {
  if (value.is_string()) {
    runtime.step_over(value.text().size());
    return value.text();
  }
  TextBuilder out(runtime);
  append_str(runtime, value, out);
  return out.take_text();
}

std::string to_repr(Runtime& runtime, const Value& value) {
  TextBuilder out(runtime);
  append_repr(runtime, value, out);
  return out.take_text();
}

}  // namespace ridgeline::jinja
