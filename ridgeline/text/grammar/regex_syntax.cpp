#include "ridgeline/text/grammar/regex_syntax.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <optional>

#include "ridgeline/text/utf8.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline::grammar {
namespace {

using Kind = RegexNode::Kind;

CodePointSet digits() { return {{'0', '9'}}; }
CodePointSet word_characters() { return {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}; }
// ECMA-262, WhiteSpace and LineTerminator.
CodePointSet spaces() {
  return {{'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
          {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
}
CodePointSet line_ends() { return {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}; }

class Parser {
 public:
  Parser(std::string_view pattern, const std::string& what, Budget& budget)
      : text_(decode_utf8(pattern)), what_(what), budget_(budget) {
    if (utf8_valid_prefix_bytes(pattern) != pattern.size()) error("is not valid UTF-8");
  }

  RegexNode parse() {
    RegexNode node = choice(0);
    if (at_ < text_.size()) error("has a ) without its (");
    return node;
  }

 private:
  [[noreturn]] void error(const std::string& why) const {
    refuse(fmt::format("{} {} (at character {})", what_, why, at_ + 1));
  }
  bool at_end() const { return at_ == text_.size(); }
  char32_t peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : U'\0';
  }
  bool take(char32_t c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take(std::u32string_view s) {
    if (text_.compare(at_, s.size(), s) != 0) return false;
    at_ += s.size();
    return true;
  }

  RegexNode choice(int depth) {
    if (depth > Budget::kNestingMax) error("is nested too deeply");
    RegexNode node;
    node.kind = Kind::kChoice;
    do {
      RegexNode sequence;
      while (!at_end() && peek() != '|' && peek() != ')') sequence.parts.push_back(item(depth));
      node.parts.push_back(std::move(sequence));
    } while (take('|'));
    return node.parts.size() == 1 ? std::move(node.parts[0]) : std::move(node);
  }

  RegexNode item(int depth) {
    budget_.spend(64);
    RegexNode node = atom(depth);
    unsigned min = 1, max = 1;
    if (!quantifier(min, max)) return node;
    if (node.kind == Kind::kBegin || node.kind == Kind::kEnd || node.kind == Kind::kLookahead) {
      error("repeats what matches no character");
    }
    RegexNode repeat;
    repeat.kind = Kind::kRepeat;
    repeat.min = min;
    repeat.max = max;
    repeat.parts.push_back(std::move(node));
    take('?');  // lazy: the same texts
    unsigned again_min = 0, again_max = 0;
    if (quantifier(again_min, again_max)) error("has a quantifier behind a quantifier");
    return repeat;
  }

  bool quantifier(unsigned& min, unsigned& max) {
    if (take('*')) return min = 0, max = RegexNode::kNoMax, true;
    if (take('+')) return min = 1, max = RegexNode::kNoMax, true;
    if (take('?')) return min = 0, max = 1, true;
    if (peek() != '{') return false;
    const std::size_t begin = at_++;
    const std::optional<unsigned> first = number();
    if (first) {
      min = max = *first;
      if (take(',')) max = number().value_or(RegexNode::kNoMax);
    }
    if (!first || !take('}')) {  // then the brace is a character
      at_ = begin;
      return false;
    }
    if (max < min) error("has a quantifier whose limits are in the wrong order");
    return true;
  }

  std::optional<unsigned> number() {
    if (peek() < '0' || peek() > '9') return std::nullopt;
    unsigned value = 0;
    while (peek() >= '0' && peek() <= '9') {
      value = value * 10 + (text_[at_++] - '0');
      if (value > 1000000) error("repeats something more than a million times");
    }
    return value;
  }

  static RegexNode of_set(CodePointSet set) {
    RegexNode node;
    node.kind = Kind::kSet;
    node.set = std::move(set);
    return node;
  }

  RegexNode atom(int depth) {
    const char32_t c = text_[at_];
    RegexNode node;
    switch (c) {
      case '^':
        ++at_;
        node.kind = Kind::kBegin;
        return node;
      case '$':
        ++at_;
        node.kind = Kind::kEnd;
        return node;
      case '.':
        ++at_;
        return of_set(complement(line_ends()));
      case '[':
        ++at_;
        return of_set(character_class());
      case '\\':
        ++at_;
        return of_set(escape(false));
      case '(':
        ++at_;
        return group(depth);
      case '*':
      case '+':
      case '?':
        error("has a quantifier with nothing before it");
      default:
        ++at_;
        return of_set({{c, c}});
    }
  }

  RegexNode group(int depth) {
    RegexNode node;
    bool is_lookahead = false;
    if (take(U"?=") || take(U"?!")) {
      is_lookahead = true;
      node.kind = Kind::kLookahead;
      node.is_negative = text_[at_ - 1] == '!';
    } else if (take(U"?<=") || take(U"?<!")) {
      error("has a lookbehind, which is not supported");
    } else if (take(U"?<")) {
      while (!at_end() && peek() != '>') ++at_;
      take('>');
    } else if (peek() == '?' && !take(U"?:")) {
      error("has a group that is not supported");
    }
    RegexNode inside = choice(depth + 1);
    if (!take(')')) error("has a ( without its )");
    if (!is_lookahead) return inside;
    node.parts.push_back(std::move(inside));
    return node;
  }

  std::optional<char32_t> hex(std::size_t num_digits) {
    char32_t value = 0;
    for (std::size_t i = 0; i < num_digits; ++i) {
      const char32_t c = peek(i);
      const bool is_digit = c >= '0' && c <= '9';
      const char32_t letter = c | 0x20;
      if (!is_digit && (letter < 'a' || letter > 'f')) return std::nullopt;
      value = value * 16 + (is_digit ? c - '0' : letter - 'a' + 10);
    }
    at_ += num_digits;
    return value;
  }

  // Behind the backslash.
  CodePointSet escape(bool in_class) {
    if (at_end()) error("ends with a backslash");
    const char32_t c = text_[at_++];
    const auto single = [](char32_t one) { return CodePointSet{{one, one}}; };
    switch (c) {
      case 'd':
        return digits();
      case 'D':
        return complement(digits());
      case 'w':
        return word_characters();
      case 'W':
        return complement(word_characters());
      case 's':
        return spaces();
      case 'S':
        return complement(spaces());
      case 't':
        return single('\t');
      case 'n':
        return single('\n');
      case 'r':
        return single('\r');
      case 'f':
        return single('\f');
      case 'v':
        return single('\v');
      case '0':
        return single(0);
      case 'x':
        if (const auto value = hex(2)) return single(*value);
        error("has \\x without two hexadecimal digits");
      case 'u':
        return single(unicode_escape());
      case 'c':
        if ((peek() | 0x20) < 'a' || (peek() | 0x20) > 'z') error("has \\c without a letter");
        return single(text_[at_++] & 31);
      case 'p':
        return property();
      case 'P':
        return complement(property());
      case 'b':
        if (in_class) return single('\b');
        error("has \\b, which is not supported");
      case 'B':
        error("has \\B, which is not supported");
      case 'k':
        error("has a back-reference, which is not supported");
      default:
        break;
    }
    if (c >= '1' && c <= '9') error("has a back-reference, which is not supported");
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') error("has an unknown escape");
    return single(c);
  }

  char32_t unicode_escape() {
    if (take('{')) {
      char32_t value = 0;
      std::size_t num_digits = 0;
      for (; num_digits < 6; ++num_digits) {
        const auto digit = hex(1);
        if (!digit) break;
        value = value * 16 + *digit;
      }
      if (num_digits == 0 || value > kLastCodePoint || !take('}')) error("has a bad \\u{...}");
      return value;
    }
    const auto value = hex(4);
    if (!value) error("has \\u without four hexadecimal digits");
    if (*value >= 0xD800 && *value < 0xDC00 && take(U"\\u")) {
      const auto low = hex(4);
      if (!low || *low < 0xDC00 || *low > 0xDFFF) error("has half of a surrogate pair");
      return 0x10000 + ((*value - 0xD800) << 10) + (*low - 0xDC00);
    }
    return *value;
  }

  // General categories: \p{L}, \p{Lu}, \p{Letter}.
  CodePointSet property() {
    std::string name;
    if (!take('{')) error("has \\p without a name in braces");
    while (!at_end() && peek() != '}') append_utf8(text_[at_++], name);
    take('}');
    for (const std::string_view prefix : {"General_Category=", "gc="}) {
      if (name.starts_with(prefix)) name.erase(0, prefix.size());
    }
    static constexpr std::pair<std::string_view, std::string_view> kLong[] = {
        {"Letter", "L"},
        {"Uppercase_Letter", "Lu"},
        {"Lowercase_Letter", "Ll"},
        {"Mark", "M"},
        {"Number", "N"},
        {"Decimal_Number", "Nd"},
        {"Punctuation", "P"},
        {"Symbol", "S"},
        {"Separator", "Z"},
        {"Other", "C"},
        {"digit", "Nd"},
        {"Space_Separator", "Zs"}};
    for (const auto& [spelled, brief] : kLong) {
      if (name == spelled) name = brief;
    }
    static constexpr std::string_view kAll =
        "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co Cn";
    const bool known =
        (name.size() == 1 && std::string_view("LMNPSZC").find(name) != std::string_view::npos) ||
        (name.size() == 2 && kAll.find(name) != std::string_view::npos);
    if (!known) error(fmt::format("has the property {}, which is not supported", quoted(name)));
    CodePointSet set;
    for (char32_t c = 0; c <= kLastCodePoint; ++c) {
      const std::string_view category = utf8proc_category_string(static_cast<utf8proc_int32_t>(c));
      if (!category.starts_with(name)) continue;
      if (!set.empty() && set.back().high + 1 == c) {
        set.back().high = c;
      } else {
        set.push_back({c, c});
      }
    }
    budget_.spend(std::size_t{1} << 17);
    return set;
  }

  // Behind the bracket.
  CodePointSet character_class() {
    const bool negated = take('^');
    CodePointSet set;
    for (;;) {
      if (at_end()) error("has a [ without its ]");
      if (take(']')) break;
      const CodePointSet first = class_atom();
      if (peek() == '-' && at_ + 1 < text_.size() && peek(1) != ']' && is_single(first)) {
        ++at_;
        const CodePointSet last = class_atom();
        if (is_single(last)) {
          if (last[0].low < first[0].low) error("has a range in the wrong order");
          set.push_back({first[0].low, last[0].low});
        } else {  // [a-\d]: the minus is a character
          set.push_back(first[0]);
          set.push_back({'-', '-'});
          set.insert(set.end(), last.begin(), last.end());
        }
      } else {
        set.insert(set.end(), first.begin(), first.end());
      }
    }
    set = normalized(std::move(set));
    return negated ? complement(set) : set;
  }

  static bool is_single(const CodePointSet& set) {
    return set.size() == 1 && set[0].low == set[0].high;
  }
  CodePointSet class_atom() {
    budget_.spend(8);
    if (take('\\')) return escape(true);
    if (at_end()) error("has a [ without its ]");
    const char32_t c = text_[at_++];
    return {{c, c}};
  }

  std::u32string text_;
  const std::string& what_;
  Budget& budget_;
  std::size_t at_ = 0;
};

}  // namespace

RegexNode parse_regex(std::string_view pattern, const std::string& what, Budget& budget) {
  return Parser(pattern, what, budget).parse();
}

}  // namespace ridgeline::grammar
