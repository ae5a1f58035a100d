#include "ridgeline/text/grammar/gbnf.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "ridgeline/text/grammar/regex.h"
#include "ridgeline/text/grammar/regex_syntax.h"
#include "ridgeline/text/utf8.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline::grammar {
namespace {

using Element = Program::Element;

class Parser {
 public:
  Parser(std::string_view text, Budget& budget) : text_(text), budget_(budget) {
    if (utf8_valid_prefix_bytes(text) != text.size()) error("is not valid UTF-8");
  }

  std::unique_ptr<Program> parse() {
    rule_number("root");
    blanks(true);
    while (at_ < text_.size()) {
      rule();
      blanks(true);
    }
    for (const auto& [name, number] : numbers_) {
      if (program_->rules[number].productions.empty()) {
        refuse(fmt::format("the GBNF grammar has no rule {}", quoted(name)));
      }
    }
    return std::move(program_);
  }

 private:
  [[noreturn]] void error(const std::string& why) const {
    const auto line =
        1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(at_), '\n');
    refuse(fmt::format("line {} of the GBNF grammar {}", line, why));
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(std::string_view s) {
    if (text_.substr(at_, s.size()) != s) return false;
    at_ += s.size();
    return true;
  }
  void blanks(bool newlines) {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else if (c == ' ' || c == '\t' || (newlines && (c == '\n' || c == '\r'))) {
        ++at_;
      } else {
        return;
      }
    }
  }
  static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  }
  std::string name() {
    const std::size_t begin = at_;
    while (is_name(peek())) ++at_;
    if (at_ == begin) error("has no name where one is expected");
    return std::string(text_.substr(begin, at_ - begin));
  }

  std::uint32_t add_rule() {
    budget_.spend(32);
    program_->rules.emplace_back();
    return static_cast<std::uint32_t>(program_->rules.size() - 1);
  }
  std::uint32_t rule_number(const std::string& rule_name) {
    const auto at = numbers_.find(rule_name);
    return at != numbers_.end() ? at->second : (numbers_[rule_name] = add_rule());
  }
  void add_production(std::uint32_t number, Program::Production elements) {
    budget_.spend(16 + 2 * elements.size());
    program_->rules[number].productions.push_back(
        static_cast<std::uint32_t>(program_->productions.size()));
    program_->productions.push_back(std::move(elements));
  }
  static Element rule_element(std::uint32_t number) {
    return {Element::Kind::kRule, number, kNone};
  }

  void rule() {
    const std::string rule_name = name();
    blanks(false);
    if (!take("::=")) error("has no ::= behind a rule's name");
    blanks(true);
    const std::uint32_t number = rule_number(rule_name);
    if (!program_->rules[number].productions.empty()) {
      error(fmt::format("defines the rule {} again", quoted(rule_name)));
    }
    alternatives(number, 0);
    blanks(false);
    if (at_ < text_.size() && peek() != '\n' && peek() != '\r') {
      error(fmt::format("has {} where a rule should end", quoted(text_.substr(at_, 1))));
    }
  }

  void alternatives(std::uint32_t number, int depth) {
    if (depth > Budget::kNestingMax) error("is nested too deeply");
    for (;;) {
      add_production(number, sequence(depth));
      blanks(depth > 0);
      if (!take("|")) return;
      blanks(true);
    }
  }

  Program::Production sequence(int depth) {
    Program::Production elements;
    for (;;) {
      blanks(depth > 0);
      const char c = peek();
      if (c == '"') {
        ++at_;
        elements.push_back(literal());
      } else if (c == '[' || c == '.') {
        ++at_;
        characters(c == '[' ? character_class() : CodePointSet{{0, kLastCodePoint}}, elements);
        continue;
      } else if (c == '(') {
        ++at_;
        const std::uint32_t number = add_rule();
        alternatives(number, depth + 1);
        blanks(true);
        if (!take(")")) error("has a ( without its )");
        elements.push_back(rule_element(number));
      } else if (is_name(c)) {
        elements.push_back(rule_element(rule_number(name())));
      } else if (c == '<' || c == '!') {
        error("names a token, which is not supported: write its text");
      } else {
        return elements;
      }
      repeat(elements);
    }
  }

  std::optional<char32_t> hex(std::size_t num_digits) {
    char32_t value = 0;
    if (at_ + num_digits > text_.size()) return std::nullopt;
    for (std::size_t i = 0; i < num_digits; ++i) {
      const char c = text_[at_ + i];
      if (!std::isxdigit(static_cast<unsigned char>(c))) return std::nullopt;
      value = value * 16 + static_cast<char32_t>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    at_ += num_digits;
    return value;
  }

  char32_t character() {
    if (at_ == text_.size()) error("ends within a literal or class");
    if (!take("\\")) {
      const Utf8Step step = utf8_step(text_.substr(at_));
      at_ += step.length_bytes;
      return step.code_point;
    }
    const char c = peek();
    ++at_;
    switch (c) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'x':
      case 'u':
      case 'U': {
        const auto value = hex(c == 'x' ? 2 : c == 'u' ? 4 : 8);
        if (!value || *value > kLastCodePoint || (*value >= 0xD800 && *value < 0xE000)) {
          error("has a hexadecimal escape that is no character");
        }
        return *value;
      }
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^':
        return static_cast<char32_t>(c);
      default:
        error(fmt::format("has the unknown escape {}", quoted("\\" + std::string(1, c))));
    }
  }

  Element literal() {
    std::string bytes;
    while (!take("\"")) append_utf8(character(), bytes);
    budget_.spend(bytes.size());
    program_->literals.push_back(std::move(bytes));
    return {Element::Kind::kLiteral, static_cast<std::uint32_t>(program_->literals.size() - 1),
            kNone};
  }

  CodePointSet character_class() {
    const bool negated = take("^");
    CodePointSet set;
    while (!take("]")) {
      const char32_t first = character();
      char32_t last = first;
      if (peek() == '-' && text_.substr(at_, 2) != "-]") {
        ++at_;
        last = character();
        if (last < first) error("has a range in the wrong order");
      }
      set.push_back({first, last});
      budget_.spend(4);
    }
    set = normalized(std::move(set));
    return negated ? complement(set) : set;
  }

  struct Count {
    unsigned min = 1, max = 1;
  };
  std::optional<Count> quantifier() {
    if (take("*")) return Count{0, RegexNode::kNoMax};
    if (take("+")) return Count{1, RegexNode::kNoMax};
    if (take("?")) return Count{0, 1};
    if (!take("{")) return std::nullopt;
    const auto number = [&]() -> std::optional<unsigned> {
      blanks(false);
      std::optional<unsigned> value;
      while (peek() >= '0' && peek() <= '9') {
        value = value.value_or(0) * 10 + static_cast<unsigned>(text_[at_++] - '0');
        if (*value > 100000) error("repeats something more than 100000 times");
      }
      blanks(false);
      return value;
    };
    const auto min = number();
    Count count{min.value_or(0), min.value_or(0)};
    bool is_range = take(",");
    if (is_range) count.max = number().value_or(RegexNode::kNoMax);
    if ((!min && !is_range) || !take("}") || count.max < count.min) {
      error("has a repetition that is not {m}, {m,}, {,n} or {m,n}");
    }
    return count;
  }

  // One class, however often it is repeated, is an automaton.
  void characters(CodePointSet set, Program::Production& elements) {
    RegexNode node;
    node.kind = RegexNode::Kind::kSet;
    node.set = std::move(set);
    while (const auto count = quantifier()) {
      RegexNode repeated;
      repeated.kind = RegexNode::Kind::kRepeat;
      repeated.min = count->min;
      repeated.max = count->max;
      repeated.parts.push_back(std::move(node));
      node = std::move(repeated);
    }
    program_->dfas.push_back(regex_whole(node, budget_));
    elements.push_back(
        {Element::Kind::kDfa, static_cast<std::uint32_t>(program_->dfas.size() - 1), kNone});
  }

  void repeat(Program::Production& elements) {
    while (const auto count = quantifier()) {
      const Element part = elements.back();
      elements.pop_back();
      if (count->max != RegexNode::kNoMax) budget_.spend(std::size_t{count->max} * 8);
      for (unsigned i = 0; i < count->min; ++i) elements.push_back(part);
      budget_.spend(std::size_t{count->min} * 4);
      if (count->max == RegexNode::kNoMax) {
        const std::uint32_t number = add_rule();
        add_production(number, {part, rule_element(number)});
        add_production(number, {});
        elements.push_back(rule_element(number));
        continue;
      }
      std::uint32_t rest = kNone;
      for (unsigned i = count->min; i < count->max; ++i) {
        const std::uint32_t number = add_rule();
        Program::Production more{part};
        if (rest != kNone) more.push_back(rule_element(rest));
        add_production(number, std::move(more));
        add_production(number, {});
        rest = number;
      }
      if (rest != kNone) elements.push_back(rule_element(rest));
      if (elements.empty() || count->max == 0) {
        const std::uint32_t number = add_rule();
        add_production(number, {});
        elements.push_back(rule_element(number));
      }
    }
  }

  std::string_view text_;
  Budget& budget_;
  std::size_t at_ = 0;
  std::unique_ptr<Program> program_ = std::make_unique<Program>();
  std::map<std::string, std::uint32_t> numbers_;
};

}  // namespace

std::unique_ptr<Program> parse_gbnf(std::string_view text, Budget& budget) {
  std::unique_ptr<Program> program = Parser(text, budget).parse();
  finish_program(*program);
  return program;
}

}  // namespace ridgeline::grammar
