#include <algorithm>
#include <array>

#include "ridgeline/text/jinja/format_string.h"
#include "ridgeline/text/jinja/methods.h"
#include "ridgeline/text/jinja/operators.h"
#include "ridgeline/text/jinja/parameters.h"
#include "ridgeline/text/jinja/text_search.h"
#include "ridgeline/text/jinja/unicode.h"

namespace ridgeline::jinja {
namespace {

/// A text that came of `self`: as safe as it was.
Value derived(Runtime& runtime, const Value& self, std::string text) {
  return runtime.string(std::move(text), self.string().markup);
}
Value derived(Runtime& runtime, const Value& self, std::string_view text) {
  return derived(runtime, self, std::string(text));
}

/// An argument that becomes part of `self`'s text.
std::string inserted(const Value& self, const Value& argument) {
  return self.string().markup && !argument.string().markup ? escape_markup(argument.text())
                                                           : argument.text();
}

// Methods without arguments.
template <std::string (*kChange)(std::string_view)>
Value changed(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters none("str method", arguments, {});
  runtime.step(self.text().size());
  return derived(runtime, self, kChange(self.text()));
}

template <Ends kEnds>
Value strip(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters p("strip", arguments, {"chars"});
  runtime.step_over(self.text().size());
  if (!p.is_set(0)) return derived(runtime, self, strip_spaces(self.text(), kEnds));
  runtime.step_over(self.text().size() * p.text(0).size());
  return derived(runtime, self, strip_characters(self.text(), p.text(0), kEnds));
}

Values to_values(Runtime& runtime, const Value& self, const std::vector<std::string_view>& pieces) {
  Values values;
  values.reserve(pieces.size());
  for (const std::string_view piece : pieces) values.push_back(derived(runtime, self, piece));
  return values;
}

template <bool kFromRight>
Value split(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters p("split", arguments, {"sep", "maxsplit"});
  const std::int64_t most = p.integer(1, -1);
  runtime.step_over(self.text().size());
  if (!p.is_set(0))
    return runtime.list(to_values(runtime, self, split_at_spaces(self.text(), most, kFromRight)));
  if (p.text(0).empty()) throw TemplateError{"empty separator"};
  if (kFromRight) step_over_search_from_right(runtime, self.text(), p.text(0));
  return runtime.list(to_values(runtime, self, split_at(self.text(), p.text(0), most, kFromRight)));
}

Value splitlines(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters p("splitlines", arguments, {"keepends"});
  runtime.step_over(self.text().size());
  return runtime.list(
      to_values(runtime, self, split_lines(self.text(), p.truth(runtime, 0, false))));
}

template <bool kFromRight>
Value partition(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters p("partition", arguments, {"sep"}, 1);
  const std::string &text = self.text(), &separator = p.text(0);
  if (separator.empty()) throw TemplateError{"empty separator"};
  runtime.step_over(text.size());
  if (kFromRight) step_over_search_from_right(runtime, text, separator);
  const std::size_t at = kFromRight ? text.rfind(separator) : find_text(text, separator);
  const Value empty = derived(runtime, self, std::string_view());
  if (at == text.npos)
    return kFromRight ? runtime.tuple({empty, empty, self}) : runtime.tuple({self, empty, empty});
  return runtime.tuple({derived(runtime, self, text.substr(0, at)), p[0],
                        derived(runtime, self, text.substr(at + separator.size()))});
}

/// The part that start and end of find(), count() and startswith() leave, and the
/// index where it begins; none if start lies behind the end.
struct Part {
  std::string_view text;
  std::int64_t start = 0;
  bool exists = true;
};
Part part_of(Runtime& runtime, const Value& self, const Parameters& p) {
  const std::int64_t n = static_cast<std::int64_t>(self.string().length);
  const auto bound = [&](std::size_t i, std::int64_t otherwise) {
    const std::int64_t at = p.is_set(i) ? p.integer(i, 0) : otherwise;
    return at < 0 ? std::max<std::int64_t>(at + n, 0) : at;
  };
  const std::int64_t start = bound(1, 0), end = std::min(bound(2, n), n);
  runtime.step_over(self.text().size());
  if (start > end) return {{}, start, false};
  const std::size_t first = byte_offset(self.text(), static_cast<std::size_t>(start));
  const std::size_t last = byte_offset(self.text(), static_cast<std::size_t>(end));
  return {std::string_view(self.text()).substr(first, last - first), start, true};
}

template <bool kFromRight, bool kMustBeThere>
Value find(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters p("find", arguments, {"sub", "start", "end"}, 1);
  const Part part = part_of(runtime, self, p);
  if (kFromRight) step_over_search_from_right(runtime, part.text, p.text(0));
  const std::size_t at = !part.exists ? std::string_view::npos
                         : kFromRight ? part.text.rfind(p.text(0))
                                      : find_text(part.text, p.text(0));
  if (at != std::string_view::npos)
    return Value::integer(part.start +
                          static_cast<std::int64_t>(code_points(part.text.substr(0, at))));
  if (kMustBeThere) throw TemplateError{"substring not found"};
  return Value::integer(-1);
}

Value count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters p("count", arguments, {"sub", "start", "end"}, 1);
  const Part part = part_of(runtime, self, p);
  if (!part.exists) return Value::integer(0);
  const std::size_t n = p.text(0).empty() ? code_points(part.text) + 1
                                          : split_at(part.text, p.text(0), -1, false).size() - 1;
  return Value::integer(static_cast<std::int64_t>(n));
}

template <bool kAtEnd>
Value starts_or_ends(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters p(kAtEnd ? "endswith" : "startswith", arguments, {"affix", "start", "end"}, 1);
  const Part part = part_of(runtime, self, p);
  const auto matches = [&](const Value& affix) {
    if (!affix.is_string())
      throw_type_error(std::string(kAtEnd ? "endswith" : "startswith") +
                       " first arg must be str or a tuple of str, not " + type_name(affix));
    if (!part.exists) return false;
    return kAtEnd ? part.text.ends_with(affix.text()) : part.text.starts_with(affix.text());
  };
  if (p[0].kind() == Value::Kind::kTuple) {
    runtime.step(p[0].items().size());
    return Value::boolean(std::ranges::any_of(p[0].items(), matches));
  }
  return Value::boolean(matches(p[0]));
}

template <bool kSuffix>
Value remove_affix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters p(kSuffix ? "removesuffix" : "removeprefix", arguments, {"affix"}, 1);
  std::string_view text = self.text();
  const std::string& affix = p.text(0);
  if (kSuffix && text.ends_with(affix)) text.remove_suffix(affix.size());
  if (!kSuffix && text.starts_with(affix)) text.remove_prefix(affix.size());
  return derived(runtime, self, text);
}

Value replace(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters p("replace", arguments, {"old", "new", "count"}, 2);
  p.text(1);
  return replaced(runtime, self.text(), p.text(0), inserted(self, p[1]), p.integer(2, -1),
                  self.string().markup);
}

Value join(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters p("join", arguments, {"iterable"}, 1);
  TextBuilder out(runtime);
  std::size_t n = 0;
  for_each(runtime, p[0], [&](const Value& item) {
    if (n++ > 0) out.append(self.text());
    if (!item.is_string())
      throw_type_error("sequence item " + std::to_string(n - 1) + ": expected str instance, " +
                       type_name(item) + " found");
    out.append(inserted(self, item));
  });
  return out.to_value(self.string().markup);
}

/// center, ljust and rjust; what is missing goes to the left, the right or both.
template <Ends kFilled>
Value justify(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters p("justify", arguments, {"width", "fillchar"}, 1);
  if (p.has(1) && (!p[1].is_string() || p[1].string().length != 1))
    throw_type_error("The fill character must be exactly one character long");
  return justified(runtime, self, p.integer(0, 0), p.has(1) ? p.text(1) : " ", kFilled);
}

Value zfill(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters p("zfill", arguments, {"width"}, 1);
  const std::int64_t missing = p.integer(0, 0) - static_cast<std::int64_t>(self.string().length);
  if (missing <= 0) return self;
  const bool has_sign = self.text().starts_with('+') || self.text().starts_with('-');
  TextBuilder out(runtime);
  out.append(self.text().substr(0, has_sign));
  out.append(static_cast<std::size_t>(missing), '0');
  out.append(self.text().substr(has_sign));
  return out.to_value(self.string().markup);
}

Value expandtabs(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters p("expandtabs", arguments, {"tabsize"});
  const std::int64_t width = p.integer(0, 8);
  TextBuilder out(runtime);
  std::int64_t column = 0;
  runtime.step(self.string().length);
  for (const std::string_view piece : split_code_points(self.text())) {
    if (piece == "\t") {
      const std::int64_t spaces = width > 0 ? width - column % width : 0;
      out.append(static_cast<std::size_t>(spaces), ' ');
      column += spaces;
      continue;
    }
    out.append(piece);
    column = piece == "\n" || piece == "\r" ? 0 : column + 1;
  }
  return out.to_value(self.string().markup);
}

Value format(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return brace_format(runtime, self, arguments);
}

Value format_map(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters p("format_map", arguments, {"mapping"}, 1);
  Arguments keywords;
  if (!p[0].is_dict()) throw_type_error("format_map() argument must be a dict");
  for (const auto& [key, value] : p[0].dict().entries)
    if (key.is_string()) keywords.keyword.emplace_back(key.text(), value);
  return brace_format(runtime, self, keywords);
}

/// True of a text that is not empty and whose characters are all so.
template <bool (*kIs)(char32_t)>
Value all_are(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters none("str method", arguments, {});
  runtime.step(self.string().length);
  const auto pieces = split_code_points(self.text());
  return Value::boolean(!pieces.empty() && std::ranges::all_of(pieces, [](std::string_view c) {
    return kIs(first_code_point(c));
  }));
}

Value isascii(Runtime&, const Value& self, const Arguments&) {
  return Value::boolean(std::ranges::all_of(self.text(), [](char c) { return (c & 0x80) == 0; }));
}

Value isprintable(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return self.text().empty() ? Value::boolean(true)
                             : all_are<is_printable>(runtime, self, arguments);
}

Value isidentifier(Runtime&, const Value& self, const Arguments&) {
  const auto pieces = split_code_points(self.text());
  const auto fits = [](std::string_view piece) {
    return is_alnum(first_code_point(piece)) || piece == "_";
  };
  return Value::boolean(!pieces.empty() && std::ranges::all_of(pieces, fits) &&
                        !is_numeric(first_code_point(pieces[0])));
}

/// islower and isupper: some letter of the case, and none of the other.
template <bool (*kIs)(char32_t), bool (*kIsNot)(char32_t)>
Value is_case(Runtime& runtime, const Value& self, const Arguments&) {
  runtime.step(self.string().length);
  bool any = false;
  for (const std::string_view piece : split_code_points(self.text())) {
    const char32_t c = first_code_point(piece);
    if (kIsNot(c)) return Value::boolean(false);
    any = any || kIs(c);
  }
  return Value::boolean(any);
}

Value istitle(Runtime& runtime, const Value& self, const Arguments&) {
  runtime.step(self.string().length);
  bool any = false, in_word = false;
  for (const std::string_view piece : split_code_points(self.text())) {
    const char32_t c = first_code_point(piece);
    if (is_upper(c) ? in_word : is_lower(c) && !in_word) return Value::boolean(false);
    in_word = is_upper(c) || is_lower(c);
    any = any || in_word;
  }
  return Value::boolean(any);
}

struct NamedMethod {
  std::string_view name;
  Method method;
};

constexpr NamedMethod kMethods[] = {
    {"capitalize", changed<capitalize>},
    {"center", justify<Ends::kBoth>},
    {"count", count},
    {"endswith", starts_or_ends<true>},
    {"expandtabs", expandtabs},
    {"find", find<false, false>},
    {"format", format},
    {"format_map", format_map},
    {"index", find<false, true>},
    {"isalnum", all_are<is_alnum>},
    {"isalpha", all_are<is_alpha>},
    {"isascii", isascii},
    {"isdecimal", all_are<is_decimal>},
    {"isdigit", all_are<is_digit>},
    {"isidentifier", isidentifier},
    {"islower", is_case<is_lower, is_upper>},
    {"isnumeric", all_are<is_numeric>},
    {"isprintable", isprintable},
    {"isspace", all_are<is_space>},
    {"istitle", istitle},
    {"isupper", is_case<is_upper, is_lower>},
    {"join", join},
    {"ljust", justify<Ends::kRight>},
    {"lower", changed<to_lower>},
    {"lstrip", strip<Ends::kLeft>},
    {"partition", partition<false>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"replace", replace},
    {"rfind", find<true, false>},
    {"rindex", find<true, true>},
    {"rjust", justify<Ends::kLeft>},
    {"rpartition", partition<true>},
    {"rsplit", split<true>},
    {"rstrip", strip<Ends::kRight>},
    {"split", split<false>},
    {"splitlines", splitlines},
    {"startswith", starts_or_ends<false>},
    {"strip", strip<Ends::kBoth>},
    {"swapcase", changed<swap_case>},
    {"title", changed<to_title_case>},
    {"upper", changed<to_upper>},
    {"zfill", zfill},
};

constexpr std::string_view kNotHere[] = {"casefold", "encode", "maketrans", "translate"};

}  // namespace

Method string_method(std::string_view name) {
  const auto* found = std::ranges::find(kMethods, name, &NamedMethod::name);
  if (found != std::end(kMethods)) return found->method;
  if (std::ranges::find(kNotHere, name) != std::end(kNotHere))
    throw TemplateError{"the string method '" + std::string(name) + "' is not supported"};
  return nullptr;
}

}  // namespace ridgeline::jinja
