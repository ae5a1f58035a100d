#include <algorithm>

#include "ridgeline/text/jinja/filters.h"
#include "ridgeline/text/jinja/format_string.h"
#include "ridgeline/text/jinja/methods.h"
#include "ridgeline/text/jinja/operators.h"
#include "ridgeline/text/jinja/parameters.h"
#include "ridgeline/text/jinja/text_search.h"
#include "ridgeline/text/jinja/unicode.h"

namespace ridgeline::jinja {
namespace {

/// Filters that are the string method on what str() makes of the input.
Value call_method(Runtime& runtime, std::string_view method, const Value& input,
                  const Arguments& arguments) {
  return string_method(method)(runtime, soft_string(runtime, input), arguments);
}

Value filter_upper(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return call_method(runtime, "upper", input, arguments);
}
Value filter_lower(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return call_method(runtime, "lower", input, arguments);
}
Value filter_capitalize(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return call_method(runtime, "capitalize", input, arguments);
}
Value filter_trim(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return call_method(runtime, "strip", input, arguments);
}
Value filter_string(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("string", arguments, {});
  return soft_string(runtime, input);
}

/// Not str.title: words begin behind spaces, hyphens and opening brackets only.
Value filter_title(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("title", arguments, {});
  const Value text = soft_string(runtime, input);
  const auto is_break = [](std::string_view c) {
    return is_space(first_code_point(c)) || std::string_view("-({[<").find(c) < 5;
  };
  TextBuilder out(runtime);
  const auto pieces = split_code_points(text.text());
  for (std::size_t i = 0; i < pieces.size();) {
    const bool breaks = is_break(pieces[i]);
    std::size_t end = i;
    while (end < pieces.size() && is_break(pieces[end]) == breaks) ++end;
    const char* last =
        end < pieces.size() ? pieces[end].data() : text.text().data() + text.text().size();
    out.append(to_upper(pieces[i]));
    const char* rest = pieces[i].data() + pieces[i].size();
    out.append(to_lower({rest, static_cast<std::size_t>(last - rest)}));
    i = end;
  }
  return out.to_value();
}

Value filter_center(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("center", arguments, {"width"});
  return justified(runtime, soft_string(runtime, input), p.integer(0, 80), " ", Ends::kBoth);
}

Value filter_replace(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("replace", arguments, {"old", "new", "count"}, 2);
  const std::int64_t most = p.is_set(2) ? p.integer(2, -1) : -1;
  return replaced(runtime, to_str(runtime, input), to_str(runtime, p[0]), to_str(runtime, p[1]),
                  most, false);
}

Value filter_escape(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("escape", arguments, {});
  if (input.is_string() && input.string().markup) return input;
  return runtime.string(escape_markup(to_str(runtime, input)), true);
}

Value filter_forceescape(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("forceescape", arguments, {});
  return runtime.string(escape_markup(to_str(runtime, input)), true);
}

Value filter_safe(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("safe", arguments, {});
  return runtime.string(to_str(runtime, input), true);
}

Value filter_indent(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("indent", arguments, {"width", "first", "blank"});
  require_defined(input);
  if (!input.is_string())
    throw_type_error(std::string("indent expects a string, not ") + type_name(input));
  TextBuilder indention(runtime);
  if (p.has(0) && p[0].is_string()) {
    indention.append(p.text(0));
  } else {
    indention.append(static_cast<std::size_t>(std::max<std::int64_t>(p.integer(0, 4), 0)), ' ');
  }
  const bool blank = p.truth(runtime, 2, false);
  TextBuilder out(runtime);
  if (p.truth(runtime, 1, false)) out.append(indention.text());
  // The newline added makes an empty last line one to be kept.
  const std::string text = input.text() + "\n";
  runtime.step_over(text.size());
  bool first = true;
  for (const std::string_view line : split_lines(text, false)) {
    if (!first) {
      out.append("\n");
      if (blank || !line.empty()) out.append(indention.text());
    }
    first = false;
    out.append(line);
  }
  return out.to_value(input.string().markup);
}

Value filter_truncate(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("truncate", arguments, {"length", "killwords", "end", "leeway"});
  require_defined(input);
  const std::string end = p.has(2) ? p.text(2) : "...";
  const std::int64_t length = p.integer(0, 255), leeway = p.is_set(3) ? p.integer(3, 5) : 5;
  const auto end_length = static_cast<std::int64_t>(code_points(end));
  if (length < end_length)
    throw TemplateError{"expected length >= " + std::to_string(end_length) + ", got " +
                        std::to_string(length)};
  if (leeway < 0) throw TemplateError{"expected leeway >= 0, got " + std::to_string(leeway)};
  if (!input.is_string()) throw_type_error("truncate expects a string");
  if (jinja::length(runtime, input) - leeway <= length) return input;
  std::string text = input.text().substr(
      0, byte_offset(input.text(), static_cast<std::size_t>(length - end_length)));
  if (!p.truth(runtime, 1, false)) text = text.substr(0, text.rfind(' '));
  return runtime.string(text + end, input.string().markup);
}

Value filter_wordcount(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("wordcount", arguments, {});
  const Value text = soft_string(runtime, input);
  runtime.step(text.string().length);
  std::int64_t words = 0;
  bool in_word = false;
  for (const std::string_view piece : split_code_points(text.text())) {
    const bool is_word = piece == "_" || is_alnum(first_code_point(piece));
    words += is_word && !in_word;
    in_word = is_word;
  }
  return Value::integer(words);
}

Value filter_format(Runtime& runtime, const Value& input, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.keyword.empty())
    throw TemplateError{"can't handle positional and keyword arguments at the same time"};
  if (arguments.keyword.empty())
    return percent_format(runtime, soft_string(runtime, input),
                          runtime.tuple(arguments.positional));
  auto named = std::make_shared<DictObject>();
  for (const auto& [name, value] : arguments.keyword) named->set(make_string(name), value);
  return percent_format(runtime, soft_string(runtime, input), runtime.dict(std::move(named)));
}

/// urllib's quote(): letters, digits and _.-~ stay, and what `also` names.
void append_quoted(Runtime& runtime, const Value& value, std::string_view also, bool plus_for_space,
                   TextBuilder& out) {
  for (const char c : to_str(runtime, value)) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || std::string_view("_.-~").find(c) < 4 || also.find(c) != also.npos) {
      out.append(1, c);
    } else if (c == ' ' && plus_for_space) {
      out.append("+");
    } else {
      constexpr std::string_view kDigits = "0123456789ABCDEF";
      const auto byte = static_cast<unsigned char>(c);
      out.append("%");
      out.append(1, kDigits[byte >> 4]);
      out.append(1, kDigits[byte & 15]);
    }
  }
}

Value filter_urlencode(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("urlencode", arguments, {});
  TextBuilder out(runtime);
  if (input.is_string() || !is_iterable(input)) {
    append_quoted(runtime, input, "/", false, out);
    return out.to_value();
  }
  const Value pairs = input.is_dict() ? runtime.view(input, DictView::Part::kItems) : input;
  bool first = true;
  for_each(runtime, pairs, [&](const Value& pair) {
    const Values both = items_of(runtime, pair);
    if (both.size() != 2) throw TemplateError{"urlencode expects pairs"};
    if (!first) out.append("&");
    first = false;
    append_quoted(runtime, both[0], "", true, out);
    out.append("=");
    append_quoted(runtime, both[1], "", true, out);
  });
  return out.to_value();
}

Value filter_xmlattr(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("xmlattr", arguments, {"autospace"});
  require_defined(input);
  if (!input.is_dict()) throw_type_error("xmlattr expects a dict");
  TextBuilder out(runtime);
  const auto escaped = [&](const Value& value) {
    const bool safe = value.is_string() && value.string().markup;
    return safe ? value.text() : escape_markup(to_str(runtime, value));
  };
  for (const auto& [key, value] : input.dict().entries) {
    if (value.is_none() || value.is_undefined()) continue;
    if (!key.is_string()) throw_type_error("xmlattr expects keys that are strings");
    if (key.text().find_first_of(" \t\n\r\f\v/>=") != std::string::npos)
      throw TemplateError{"Invalid character in attribute name: " + to_repr(runtime, key)};
    if (out.size() > 0 || p.truth(runtime, 0, true)) out.append(" ");
    out.append(escaped(key) + "=\"" + escaped(value) + "\"");
  }
  return out.to_value();
}

constexpr NamedFilter kFilters[] = {
    {"capitalize", filter_capitalize},
    {"center", filter_center},
    {"e", filter_escape},
    {"escape", filter_escape},
    {"forceescape", filter_forceescape},
    {"format", filter_format},
    {"indent", filter_indent},
    {"lower", filter_lower},
    {"replace", filter_replace},
    {"safe", filter_safe},
    {"string", filter_string},
    {"title", filter_title},
    {"trim", filter_trim},
    {"truncate", filter_truncate},
    {"upper", filter_upper},
    {"urlencode", filter_urlencode},
    {"wordcount", filter_wordcount},
    {"xmlattr", filter_xmlattr},
};

}  // namespace

std::span<const NamedFilter> text_filters() { return kFilters; }

}  // namespace ridgeline::jinja
