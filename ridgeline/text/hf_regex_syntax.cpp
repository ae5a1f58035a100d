#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "ridgeline/text/hf_regex.h"
#include "ridgeline/text/utf8.h"
#include "ridgeline/text/vocabulary.h"

// Where Oniguruma (doc/RE of its sources, the Ruby columns) and PCRE2 (pcre2pattern)
// write or mean different things.
namespace ridgeline {
namespace {

constexpr int kMaxClassDepth = 32;

// What may stand between the brackets of a class.
constexpr std::string_view kSpaceItems =
    R"(\x{9}-\x{D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view kWordItems = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
// What \w means outside of brackets: with Latin-1's superscripts and fractions.
constexpr std::string_view kBareWordItems =
    R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})";
// With what has become alphabetic, and lower case, after Unicode 14.
constexpr std::string_view kAlphabeticItems =
    R"(\p{Alphabetic}\x{363}-\x{36F}\x{C04}\x{F82}\x{F83}\x{1DD3}-\x{1DE6}\x{11080}\x{11081})";
constexpr std::string_view kAlphanumericItems =
    R"(\p{Alphabetic}\p{Nd}\x{363}-\x{36F}\x{C04}\x{F82}\x{F83}\x{1DD3}-\x{1DE6}\x{11080}\x{11081})";
constexpr std::string_view kHexItems = "0-9A-Fa-f";

struct Name {
  std::string_view name, items;
};
// POSIX brackets, which \p takes too.
constexpr std::array<Name, 12> kPosixNames = {
    {{"alnum", kAlphanumericItems},
     {"alpha", kAlphabeticItems},
     {"blank", R"(\p{Zs}\x{9})"},
     {"cntrl", R"(\p{Cc})"},
     {"digit", R"(\p{Nd})"},
     {"lower", R"(\p{Lowercase}\x{10FC}\x{A7F2}-\x{A7F4}\x{AB69})"},
     {"punct", R"(\p{P}\p{S})"},
     {"space", kSpaceItems},
     {"upper", R"(\p{Uppercase})"},
     {"xdigit", kHexItems},
     {"word", kWordItems},
     {"any", R"(\x{0}-\x{10FFFF})"}}};
// PCRE2 knows the short names of the general categories only.
constexpr std::array<Name, 38> kCategoryNames = {{{"letter", "L"},
                                                  {"casedletter", "L&"},
                                                  {"lc", "L&"},
                                                  {"uppercaseletter", "Lu"},
                                                  {"lowercaseletter", "Ll"},
                                                  {"titlecaseletter", "Lt"},
                                                  {"modifierletter", "Lm"},
                                                  {"otherletter", "Lo"},
                                                  {"mark", "M"},
                                                  {"combiningmark", "M"},
                                                  {"nonspacingmark", "Mn"},
                                                  {"spacingmark", "Mc"},
                                                  {"enclosingmark", "Me"},
                                                  {"number", "N"},
                                                  {"decimalnumber", "Nd"},
                                                  {"letternumber", "Nl"},
                                                  {"othernumber", "No"},
                                                  {"punctuation", "P"},
                                                  {"connectorpunctuation", "Pc"},
                                                  {"dashpunctuation", "Pd"},
                                                  {"openpunctuation", "Ps"},
                                                  {"closepunctuation", "Pe"},
                                                  {"initialpunctuation", "Pi"},
                                                  {"finalpunctuation", "Pf"},
                                                  {"otherpunctuation", "Po"},
                                                  {"symbol", "S"},
                                                  {"mathsymbol", "Sm"},
                                                  {"currencysymbol", "Sc"},
                                                  {"modifiersymbol", "Sk"},
                                                  {"othersymbol", "So"},
                                                  {"separator", "Z"},
                                                  {"spaceseparator", "Zs"},
                                                  {"lineseparator", "Zl"},
                                                  {"paragraphseparator", "Zp"},
                                                  {"other", "C"},
                                                  {"control", "Cc"},
                                                  {"format", "Cf"},
                                                  {"unassigned", "Cn"}}};

template <std::size_t kSize>
std::string_view look_up(const std::array<Name, kSize>& names, std::string_view name) {
  const auto found = std::find_if(names.begin(), names.end(),
                                  [name](const Name& other) { return other.name == name; });
  return found == names.end() ? std::string_view() : found->items;
}

bool pcre2_accepts(const std::string& pattern) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
  pcre2_code_free(code);
  return code != nullptr;
}

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string in_brackets(std::string_view items, bool negated = false) {
  return std::string(negated ? "[^" : "[").append(items).append("]");
}

// Characters that a class may consist of: items for between brackets, or negated ones.
struct Set {
  std::string items;
  bool negated = false;
};

class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}
  Result<std::string> translate();

 private:
  struct Group {
    std::size_t begin;        // in out_
    int num_flag_groups = 0;  // that end where this one does
  };

  bool looking_at(std::string_view text) const { return in_.substr(at_).starts_with(text); }
  tl::unexpected<Error> wrong(const std::string& what) const {
    return fail("the regular expression " + quoted(in_) + " " + what);
  }
  void copy_character() {
    const Utf8Step step = utf8_step(in_.substr(at_));
    out_ += in_.substr(at_, step.length_bytes);
    at_ += step.length_bytes;
  }

  Status translate_escape();
  Status open_group();
  Status close_group();
  void translate_interval();
  Result<Set> property();
  // An escape that stands for characters; nothing if it is none, and at_ is as it was.
  Result<std::optional<Set>> character_set_escape();
  Result<std::string> code_point_escape();
  Result<std::string> character_class(int depth);

  std::string_view in_;
  std::size_t at_ = 0;
  std::string out_;
  std::size_t atom_begin_ = 0;  // in out_: what a quantifier would apply to
  std::vector<Group> groups_;
};

Result<std::string> Translator::translate() {
  groups_.push_back({0});
  while (at_ < in_.size()) {
    const char c = in_[at_];
    if (c == '{') {
      translate_interval();
      continue;
    }
    const bool is_quantifier = c == '*' || c == '+' || c == '?';
    if (!is_quantifier && c != ')') atom_begin_ = out_.size();
    if (c == '\\') {
      RIDGELINE_TRY_STATUS(translate_escape());
    } else if (c == '[') {
      RIDGELINE_TRY(const std::string expression, character_class(0));
      out_ += expression;
    } else if (c == '(') {
      RIDGELINE_TRY_STATUS(open_group());
    } else if (c == ')') {
      RIDGELINE_TRY_STATUS(close_group());
    } else {
      copy_character();
    }
  }
  if (groups_.size() != 1) return wrong("has a group that does not end");
  out_.append(static_cast<std::size_t>(groups_.back().num_flag_groups), ')');
  return std::move(out_);
}

// {n,m} is as PCRE2's; but {,m} is a quantifier, and a sign behind is one of its own,
// but for ? behind {n,m}.
void Translator::translate_interval() {
  std::size_t end = at_ + 1;
  const auto skip_digits = [&] {
    const std::size_t begin = end;
    while (end < in_.size() && is_digit(in_[end])) ++end;
    return end > begin;
  };
  const bool has_min = skip_digits();
  bool has_max = false;
  const bool has_comma = end < in_.size() && in_[end] == ',';
  if (has_comma) {
    ++end;
    has_max = skip_digits();
  }
  if (end == in_.size() || in_[end] != '}' || (!has_min && !has_max)) {
    atom_begin_ = out_.size();
    out_ += "\\{";
    ++at_;
    return;
  }
  ++end;
  out_.append(has_min ? "{" : "{0").append(in_.substr(at_ + 1, end - at_ - 1));
  at_ = end;
  const char sign = at_ < in_.size() ? in_[at_] : '\0';
  if (sign == '+' || (sign == '?' && !has_comma)) {
    out_.insert(atom_begin_, "(?:");
    out_ += ')';
    out_ += sign;
    ++at_;
  }
}

Status Translator::open_group() {
  if (looking_at("(*")) return wrong("has \"(*\", which is not supported");
  if (groups_.size() > 200) return wrong("has groups that nest too deeply");
  const std::size_t begin = out_.size();
  // Flags: (?im-x) or (?im-x: ... ; Ruby's m is the others' s.
  if (looking_at("(?")) {
    std::size_t end = at_ + 2;
    std::string flags;
    while (end < in_.size() && std::string_view("imx-").find(in_[end]) != std::string_view::npos) {
      flags += in_[end] == 'm' ? 's' : in_[end];
      ++end;
    }
    if (!flags.empty() && end < in_.size() && (in_[end] == ')' || in_[end] == ':')) {
      if (flags.find('x') != std::string::npos && flags.find('x') < flags.find('-')) {
        return wrong("has the flag x, which is not supported");
      }
      out_.append("(?").append(flags).append(":");
      at_ = end + 1;
      if (in_[end] == ')') {
        // They hold to the end of the group, alternatives included.
        ++groups_.back().num_flag_groups;
      } else {
        groups_.push_back({begin});
      }
      return {};
    }
    if (looking_at("(?#")) {
      const std::size_t close = in_.find(')', at_);
      if (close == std::string_view::npos) return wrong("has a comment that does not end");
      at_ = close + 1;
      return {};
    }
  }
  groups_.push_back({begin});
  out_ += '(';
  ++at_;
  if (at_ < in_.size() && in_[at_] == '?') {
    // Up to the mark of what kind it is, so that none of it is taken for a quantifier.
    out_ += '?';
    ++at_;
    while (at_ < in_.size() && std::string_view("<=!>:").find(in_[at_]) != std::string_view::npos) {
      out_ += in_[at_++];
    }
  }
  return {};
}

Status Translator::close_group() {
  if (groups_.size() == 1) return wrong("has a \")\" without a \"(\"");
  const Group group = groups_.back();
  groups_.pop_back();
  out_.append(static_cast<std::size_t>(group.num_flag_groups) + 1, ')');
  atom_begin_ = group.begin;
  ++at_;
  return {};
}

// \p{name}, \P{name}, \p{^name}
Result<Set> Translator::property() {
  bool negated = in_[at_ + 1] == 'P';
  std::size_t begin = at_ + 3;
  if (at_ + 2 >= in_.size() || in_[at_ + 2] != '{') return wrong("has a \\p without \"{\"");
  const std::size_t end = in_.find('}', begin);
  if (end == std::string_view::npos) return wrong("has a \\p{ that does not end");
  if (in_[begin] == '^') {
    negated = !negated;
    ++begin;
  }
  std::string name;
  for (const char c : in_.substr(begin, end - begin)) {
    if (c == ' ' || c == '_' || c == '-') continue;
    const bool is_upper = c >= 'A' && c <= 'Z';
    if (!is_upper && !(c >= 'a' && c <= 'z') && !is_digit(c)) {
      return wrong("has the property " + quoted(in_.substr(begin, end - begin)) +
                   ", which is not supported");
    }
    name += is_upper ? static_cast<char>(c - 'A' + 'a') : c;
  }
  at_ = end + 1;
  if (name == "punct") name = "p";  // the brackets of that name have symbols, too
  if (const auto items = look_up(kPosixNames, name); !items.empty()) {
    return Set{std::string(items), negated};
  }
  std::string known(look_up(kCategoryNames, name));
  if (known.empty() && name.size() <= 2) known = name;
  // Scripts before properties: to PCRE2 a script's bare name means its extensions.
  if (known.empty() && pcre2_accepts("\\p{sc:" + name + "}")) known = "sc:" + name;
  if (known.empty()) known = name;
  Set set{"\\p{" + known + "}", negated};
  if (!pcre2_accepts(set.items)) {
    return wrong("has the property " + quoted(name) + ", which is not supported");
  }
  return set;
}

Result<std::optional<Set>> Translator::character_set_escape() {
  const char c = in_[at_ + 1];
  if (c == 'p' || c == 'P') {
    RIDGELINE_TRY(Set set, property());
    return std::optional(std::move(set));
  }
  constexpr std::string_view kLetters = "sSwWdDhH";
  if (kLetters.find(c) == std::string_view::npos) return std::optional<Set>();
  at_ += 2;
  const bool negated = c >= 'A' && c <= 'Z';
  switch (negated ? c - 'A' + 'a' : c) {
    case 's':
      return std::optional(Set{std::string(kSpaceItems), negated});
    case 'w':
      return std::optional(Set{std::string(kWordItems), negated});
    case 'd':
      return std::optional(Set{R"(\p{Nd})", negated});
    default:
      return std::optional(Set{std::string(kHexItems), negated});
  }
}

// An escape that means one character, or is the same to both.
Result<std::string> Translator::code_point_escape() {
  const char c = in_[at_ + 1];
  if (c == 'u') {
    const std::string_view digits = in_.substr(at_ + 2, 4);
    if (digits.size() != 4 || !std::all_of(digits.begin(), digits.end(), is_hex)) {
      return wrong("has a \\u without four digits");
    }
    at_ += 6;
    return "\\x{" + std::string(digits) + "}";
  }
  if (c == 'x' && in_.substr(at_ + 2).starts_with('{')) {
    const std::size_t end = in_.find('}', at_);
    if (end == std::string_view::npos) return wrong("has a \\x{ that does not end");
    const std::size_t begin = std::exchange(at_, end + 1);
    return std::string(in_.substr(begin, at_ - begin));
  }
  at_ += 2;
  if (c == 'v') return std::string("\\x{B}");
  if (c == 'Q' || c == 'E') return std::string(1, c);
  if (static_cast<unsigned char>(c) >= 0x80) {
    --at_;
    const Utf8Step step = utf8_step(in_.substr(at_));
    at_ += step.length_bytes;
    return std::string(in_.substr(at_ - step.length_bytes, step.length_bytes));
  }
  return std::string{'\\', c};
}

Status Translator::translate_escape() {
  if (at_ + 1 == in_.size()) return wrong("ends with a backslash");
  RIDGELINE_TRY(const auto set, character_set_escape());
  if (set) {
    out_ += in_brackets(set->items == kWordItems ? kBareWordItems : set->items, set->negated);
    return {};
  }
  const char c = in_[at_ + 1];
  if (c == 'b' || c == 'B') {
    const std::string word = in_brackets(kBareWordItems);
    const std::string after = "(?<=" + word + ")", not_after = "(?<!" + word + ")";
    const std::string before = "(?=" + word + ")", not_before = "(?!" + word + ")";
    out_ += c == 'b' ? "(?:" + after + not_before + "|" + not_after + before + ")"
                     : "(?:" + after + before + "|" + not_after + not_before + ")";
    at_ += 2;
    return {};
  }
  RIDGELINE_TRY(const std::string escape, code_point_escape());
  out_ += escape;
  return {};
}

// A class as an expression for one character. Oniguruma's may nest, and intersect with
// &&; that becomes alternatives and lookaheads.
Result<std::string> Translator::character_class(int depth) {
  if (depth == kMaxClassDepth) return wrong("has classes that nest too deeply");
  ++at_;
  const bool negated = looking_at("^");
  if (negated) ++at_;
  std::vector<std::string> intersected;
  std::string items;
  std::vector<std::string> alternatives;
  const auto end_union = [&] {
    if (alternatives.empty()) {
      intersected.push_back(items.empty() ? "(?!)" : in_brackets(items));
    } else {
      std::string expression = items.empty() ? "" : in_brackets(items);
      for (const std::string& other : alternatives) {
        expression.append(expression.empty() ? "" : "|").append(other);
      }
      intersected.push_back("(?:" + expression + ")");
    }
    items.clear();
    alternatives.clear();
  };
  const auto add = [&](const Set& set) {
    if (set.negated) {
      alternatives.push_back(in_brackets(set.items, true));
    } else {
      items += set.items;
    }
  };
  bool is_first = true;
  for (;; is_first = false) {
    if (at_ >= in_.size()) return wrong("has a class that does not end");
    const char c = in_[at_];
    if (c == ']' && !(is_first && in_.find(']', at_ + 1) != std::string_view::npos)) break;
    if (looking_at("&&")) {
      end_union();
      at_ += 2;
    } else if (looking_at("[:")) {
      const std::size_t end = in_.find(":]", at_);
      if (end == std::string_view::npos) return wrong("has a \"[:\" without \":]\"");
      std::string_view name = in_.substr(at_ + 2, end - at_ - 2);
      const bool is_negated = name.starts_with("^");
      if (is_negated) name.remove_prefix(1);
      const std::string_view known = look_up(kPosixNames, name);
      if (known.empty()) return wrong("has the class " + quoted(name) + ", which is not supported");
      add({std::string(known), is_negated});
      at_ = end + 2;
    } else if (c == '[') {
      RIDGELINE_TRY(std::string nested, character_class(depth + 1));
      alternatives.push_back(std::move(nested));
    } else if (c == '\\') {
      if (at_ + 1 == in_.size()) return wrong("ends with a backslash");
      RIDGELINE_TRY(const auto set, character_set_escape());
      if (set) {
        add(*set);
      } else {
        RIDGELINE_TRY(const std::string escape, code_point_escape());
        items += escape;
      }
    } else if (c == '^' || c == ']') {
      items += {'\\', c};
      ++at_;
    } else {
      const Utf8Step step = utf8_step(in_.substr(at_));
      items += in_.substr(at_, step.length_bytes);
      at_ += step.length_bytes;
    }
  }
  ++at_;
  if (intersected.empty() && alternatives.empty() && !items.empty()) {
    return in_brackets(items, negated);
  }
  end_union();
  std::string expression;
  for (std::size_t i = 0; i + 1 < intersected.size(); ++i) {
    expression += "(?=" + intersected[i] + ")";
  }
  expression += intersected.back();
  return negated ? "(?:(?!" + expression + ")(?s:.))" : "(?:" + expression + ")";
}

}  // namespace

Result<std::string> pcre2_from_oniguruma(std::string_view pattern) {
  // Tried at every place of a run of spaces it takes quadratic time. It can match from
  // the run's first place only: from a later one it would end where that one does.
  if (pattern == R"(\s+$)") {
    const std::string space = in_brackets(kSpaceItems);
    return "(?<!" + space + ")" + space + "+$";
  }
  return Translator(pattern).translate();
}

}  // namespace ridgeline
