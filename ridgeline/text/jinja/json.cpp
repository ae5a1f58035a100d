#include "ridgeline/text/jinja/json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "ridgeline/text/jinja/operators.h"
#include "ridgeline/text/jinja/unicode.h"

namespace ridgeline::jinja {
namespace {

using Kind = Value::Kind;

/// Builds values as the parser reads: nothing recursive, nothing kept twice.
class Reader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return add(Value()); }
  bool boolean(bool b) override { return add(Value::boolean(b)); }
  bool number_integer(std::int64_t i) override { return add(Value::integer(i)); }
  bool number_unsigned(std::uint64_t i) override {
    if (i > static_cast<std::uint64_t>(INT64_MAX))
      return refuse("the integer " + std::to_string(i) + " is beyond 64 bits");
    return add(Value::integer(static_cast<std::int64_t>(i)));
  }
  bool number_float(double d, const std::string& text) override {
    // Integers that are too long arrive here, rounded.
    if (text.find_first_of(".eE") == text.npos)
      return refuse("the integer " + text.substr(0, 40) + " is beyond 64 bits");
    return add(Value::number(d));
  }
  bool string(std::string& text) override { return add(make_string(std::move(text))); }
  bool binary(nlohmann::json::binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(true); }
  bool key(std::string& text) override {
    open_.back().key = make_string(std::move(text));
    return true;
  }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(false); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& e) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    const std::string text = e.what();
    const std::size_t start = text.find("] ");
    problem_ =
        start == text.npos ? "error at byte " + std::to_string(position) : text.substr(start + 2);
    return false;
  }

  const std::string& problem() const { return problem_; }
  Value result() && { return std::move(result_); }

 private:
  struct Open {
    std::shared_ptr<DictObject> dict;  ///< null: a list
    Values items;
    Value key;
  };

  bool refuse(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }
  bool open(bool is_object) {
    if (open_.size() >= static_cast<std::size_t>(kMaxNesting) / 2)
      return refuse("nested deeper than " + std::to_string(kMaxNesting / 2));
    open_.push_back({is_object ? std::make_shared<DictObject>() : nullptr, {}, {}});
    return true;
  }
  bool close() {
    Open top = std::move(open_.back());
    open_.pop_back();
    return add(top.dict != nullptr ? make_dict(std::move(top.dict))
                                   : make_list(std::move(top.items)));
  }
  bool add(Value value) {
    if (open_.empty()) {
      result_ = std::move(value);
    } else if (open_.back().dict != nullptr) {
      open_.back().dict->set(std::move(open_.back().key), std::move(value));
    } else {
      open_.back().items.push_back(std::move(value));
    }
    return true;
  }

  std::vector<Open> open_;
  Value result_;
  std::string problem_;
};

class Writer {
 public:
  Writer(Runtime& runtime, const JsonStyle& style)
      : runtime_(runtime), style_(style), out_(runtime) {}

  Value write(const Value& value) {
    append(value, 0);
    return out_.to_value();
  }

 private:
  static std::string number(double d) {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d < 0 ? "-Infinity" : "Infinity";
    return float_repr(d);
  }

  void append_unicode_escape(char32_t c) {
    char text[16];
    std::snprintf(text, sizeof text, "\\u%04x", static_cast<unsigned>(c));
    out_.append(text);
  }

  void append_text(std::string_view text) {
    out_.append("\"");
    std::size_t plain = 0;  // what needs no escape is copied in one piece
    for (std::size_t at = 0; at < text.size();) {
      const std::string_view rest = text.substr(at);
      const std::size_t n = first_length(rest);
      const char32_t c = first_code_point(rest);
      if (c != '"' && c != '\\' && c >= 0x20 && (c < 0x80 || !style_.ensure_ascii)) {
        at += n;
        continue;
      }
      out_.append(text.substr(plain, at - plain));
      append_escape(c);
      plain = at += n;
    }
    out_.append(text.substr(plain));
    out_.append("\"");
  }

  void append_escape(char32_t c) {
    constexpr std::string_view kPlain = "\"\\\b\f\n\r\t", kLetters = "\"\\bfnrt";
    const std::size_t known = c < 0x80 ? kPlain.find(static_cast<char>(c)) : kPlain.npos;
    if (known != kPlain.npos) {
      out_.append("\\");
      out_.append(kLetters.substr(known, 1));
    } else if (c > 0xFFFF) {
      append_unicode_escape(0xD800 + ((c - 0x10000) >> 10));
      append_unicode_escape(0xDC00 + ((c - 0x10000) & 0x3FF));
    } else {
      append_unicode_escape(c);
    }
  }

  void break_line(std::size_t level) {
    out_.append("\n");
    out_.append_repeated(level, style_.indent);
  }

  template <class Items, class Each>
  void append_all(char open, char close, const Items& items, std::size_t level, const Each& each) {
    out_.append(1, open);
    bool first = true;
    for (const auto& item : items) {
      if (!first) out_.append(style_.item_separator);
      first = false;
      if (style_.indented) break_line(level + 1);
      each(item);
    }
    if (style_.indented && !first) break_line(level);
    out_.append(1, close);
  }

  void append_key(const Value& key) {
    switch (key.kind()) {
      case Kind::kString:
        return append_text(key.text());
      case Kind::kInt:
        return append_text(std::to_string(key.integer()));
      case Kind::kFloat:
        return append_text(number(key.number()));
      case Kind::kBool:
        return append_text(key.integer() != 0 ? "true" : "false");
      case Kind::kNone:
        return append_text("null");
      default:
        throw_type_error(std::string("keys must be str, int, float, bool or None, not ") +
                         type_name(key));
    }
  }

  void append(const Value& value, std::size_t level) {
    runtime_.step();
    switch (value.kind()) {
      case Kind::kNone:
        return out_.append("null");
      case Kind::kBool:
        return out_.append(value.integer() != 0 ? "true" : "false");
      case Kind::kInt:
        return out_.append(std::to_string(value.integer()));
      case Kind::kFloat:
        return out_.append(number(value.number()));
      case Kind::kString:
        return append_text(value.text());
      case Kind::kList:
      case Kind::kTuple:
        return append_all('[', ']', value.items(), level,
                          [&](const Value& item) { append(item, level + 1); });
      case Kind::kDict: {
        auto entries = value.dict().entries;
        if (style_.sort_keys)
          std::ranges::stable_sort(entries, [&](const auto& a, const auto& b) {
            return less(runtime_, a.first, b.first);
          });
        return append_all('{', '}', entries, level, [&](const auto& entry) {
          append_key(entry.first);
          out_.append(style_.key_separator);
          append(entry.second, level + 1);
        });
      }
      default:
        throw_type_error(std::string("Object of type ") + type_name(value) +
                         " is not JSON serializable");
    }
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  TextBuilder out_;
};

}  // namespace

Result<Value> parse_json(std::string_view text, const std::string& what) {
  Reader reader;
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &reader))
    return fail(what + ": expected JSON: " + reader.problem());
  return std::move(reader).result();
}

Value to_json(Runtime& runtime, const Value& value, const JsonStyle& style) {
  return Writer(runtime, style).write(value);
}

}  // namespace ridgeline::jinja
