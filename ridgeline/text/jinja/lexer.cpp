#include "ridgeline/text/jinja/lexer.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "ridgeline/text/jinja/unicode.h"
#include "ridgeline/text/utf8.h"

namespace ridgeline::jinja {
namespace {

using Type = Token::Type;

bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}
bool is_number(char c) { return c >= '0' && c <= '9'; }

int newlines(std::string_view text) { return static_cast<int>(std::ranges::count(text, '\n')); }

/// With \n at every line's end, and without the last of them.
std::string normalized(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
    } else {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) data();
    tokens_.push_back({Type::kEnd, line_, "", {}});
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void error(std::string message) const {
    throw TemplateError{std::move(message), line_};
  }
  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  void advance(std::size_t bytes) {
    line_ += newlines(rest().substr(0, bytes));
    at_ += bytes;
  }
  void skip_spaces() { advance(rest().size() - strip_spaces(rest(), Ends::kLeft).size()); }
  void push(Type type, std::string text = "", Value value = {}) {
    tokens_.push_back({type, line_, std::move(text), std::move(value)});
  }

  /// Text up to the next tag, and the tag.
  void data() {
    std::size_t open = at_;
    for (;; ++open) {
      open = source_.find('{', open);
      if (open == source_.npos || open + 1 == source_.size()) {
        push(Type::kData, std::string(rest()));
        at_ = source_.size();
        return;
      }
      const char kind = source_[open + 1];
      if (kind == '{' || kind == '%' || kind == '#') break;
    }
    const char kind = source_[open + 1];
    const char sign = open + 2 < source_.size() ? source_[open + 2] : '\0';
    const bool has_sign = sign == '-' || sign == '+';
    push_text(rest().substr(0, open - at_), sign, kind != '{');
    advance(open - at_);
    if (kind == '%' && raw_begins()) return raw();
    advance(has_sign ? 3 : 2);
    if (kind == '#') return comment();
    push(kind == '%' ? Type::kBlockBegin : Type::kVariableBegin);
    tag(kind);
  }

  /// Without the whitespace that `sign` of the tag behind it takes, or lstrip_blocks.
  void push_text(std::string_view text, char sign, bool lstrip) {
    if (sign == '-') {
      text = strip_spaces(text, Ends::kRight);
    } else if (sign != '+' && lstrip) {
      const std::size_t line_start = text.rfind('\n') + 1;  // npos + 1 is 0
      // At a line's start: of the text, or where a tag ended one.
      const bool at_line_start = line_start > 0 || at_ == 0 || line_starting_;
      if (at_line_start && strip_spaces(text.substr(line_start), Ends::kLeft).empty())
        text = text.substr(0, line_start);
    }
    if (!text.empty()) push(Type::kData, std::string(text));
  }

  /// Past the end of a tag and what it takes with it: `close` stands here.
  void end_tag(std::string_view close, bool trims_newline) {
    const std::size_t start = at_;
    if (rest().starts_with('-')) {
      advance(1 + close.size());
      skip_spaces();
    } else if (rest().starts_with('+')) {
      advance(1 + close.size());
    } else {
      advance(close.size());
      if (trims_newline && rest().starts_with('\n')) advance(1);
    }
    line_starting_ = at_ > start && source_[at_ - 1] == '\n';
  }

  void comment() {
    const std::size_t close = source_.find("#}", at_);
    if (close == source_.npos) error("Missing end of comment tag");
    // A sign before #} belongs to it.
    const char before = close > at_ ? source_[close - 1] : '\0';
    advance((before == '-' || before == '+' ? close - 1 : close) - at_);
    end_tag("#}", true);
  }

  /// Length of a tag {% word %} at `at`, up to and with its %}; 0 if it is none. The
  /// sign before %} is `sign`.
  std::size_t word_tag(std::size_t at, std::string_view word, char& sign) const {
    std::string_view text = std::string_view(source_).substr(at);
    const std::size_t size = text.size();
    if (!text.starts_with("{%")) return 0;
    text.remove_prefix(2);
    if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
    text = strip_spaces(text, Ends::kLeft);
    if (!text.starts_with(word)) return 0;
    text = strip_spaces(text.substr(word.size()), Ends::kLeft);
    sign = '\0';
    if (text.starts_with("-%}") || text.starts_with("+%}")) {
      sign = text[0];
      text.remove_prefix(1);
    }
    return text.starts_with("%}") ? size - text.size() + 2 : 0;
  }

  bool raw_begins() const {
    char sign = 0;
    return word_tag(at_, "raw", sign) != 0 && sign != '+';
  }

  void raw() {
    char sign = 0;
    advance(word_tag(at_, "raw", sign));
    if (sign == '-') skip_spaces();
    line_starting_ = source_[at_ - 1] == '\n';
    std::size_t close = at_, length = 0;
    for (;; ++close) {
      close = source_.find("{%", close);
      if (close == source_.npos) error("Missing end of raw directive");
      length = word_tag(close, "endraw", sign);
      if (length != 0) break;
    }
    const char open_sign = source_[close + 2];
    push_text(rest().substr(0, close - at_), open_sign, true);
    advance(close + length - (sign == 0 ? 2 : 3) - at_);
    end_tag("%}", true);
  }

  void tag(char kind) {
    const std::string_view close = kind == '%' ? "%}" : "}}";
    std::string open_brackets;
    for (;;) {
      skip_spaces();
      if (rest().empty()) return;  // the parser says what is missing
      if (open_brackets.empty() && tag_ends(kind, close)) {
        push(kind == '%' ? Type::kBlockEnd : Type::kVariableEnd);
        return end_tag(close, kind == '%');
      }
      const char c = rest()[0];
      if (is_number(c)) {
        number();
      } else if (is_name_start(c)) {
        name();
      } else if (c == '"' || c == '\'') {
        string(c);
      } else {
        symbol(open_brackets);
      }
    }
  }

  bool tag_ends(char kind, std::string_view close) const {
    const std::string_view text = rest();
    if (text.starts_with(close)) return true;
    const bool sign = text.starts_with('-') || (kind == '%' && text.starts_with('+'));
    return sign && text.substr(1).starts_with(close);
  }

  void name() {
    std::size_t n = 0;
    const std::string_view text = rest();
    while (n < text.size() && (is_name_start(text[n]) || is_number(text[n]))) ++n;
    for (std::string_view part = text.substr(0, n); !part.empty();
         part.remove_prefix(first_length(part)))
      if (const char32_t c = first_code_point(part); c >= 0x80 && !is_alnum(c))
        error("Invalid character in identifier");
    push(Type::kName, std::string(text.substr(0, n)));
    advance(n);
  }

  void number();
  void string(char quote);
  void symbol(std::string& open_brackets);

  std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = false;
  std::vector<Token> tokens_;
};

/// Digits with single underscores between them; their count with the underscores.
std::size_t digit_run(std::string_view text, unsigned base) {
  const auto is_digit_of_base = [base](char c) {
    const unsigned value = is_number(c) ? static_cast<unsigned>(c - '0')
                           : (c | 32) >= 'a' && (c | 32) <= 'f'
                               ? static_cast<unsigned>((c | 32) - 'a' + 10)
                               : 99;
    return value < base;
  };
  std::size_t n = 0;
  while (n < text.size() && is_digit_of_base(text[n])) {
    ++n;
    if (n + 1 < text.size() && text[n] == '_' && is_digit_of_base(text[n + 1])) ++n;
  }
  return n;
}

std::string without_underscores(std::string_view text) {
  std::string out(text);
  std::erase(out, '_');
  return out;
}

void Lexer::number() {
  const std::string_view text = rest();
  unsigned base = 10;
  std::size_t prefix = 0;
  if (text.size() > 2 && text[0] == '0') {
    const char letter = static_cast<char>(text[1] | 32);
    if (letter == 'x') base = 16;
    if (letter == 'o') base = 8;
    if (letter == 'b') base = 2;
    if (base != 10) prefix = text[2] == '_' ? 3 : 2;
    if (digit_run(text.substr(prefix), base) == 0) prefix = 0, base = 10;
  }
  std::size_t n = prefix + digit_run(text.substr(prefix), base);
  bool is_float = false;
  const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
  if (base == 10 && !after_dot) {
    if (n + 1 < text.size() && text[n] == '.' && is_number(text[n + 1])) {
      is_float = true;
      n += 1 + digit_run(text.substr(n + 1), 10);
    }
    if (n < text.size() && (text[n] | 32) == 'e') {
      const std::size_t sign = n + 1 < text.size() && (text[n + 1] == '+' || text[n + 1] == '-');
      const std::size_t digits = digit_run(text.substr(std::min(n + 1 + sign, text.size())), 10);
      if (digits > 0) {
        is_float = true;
        n += 1 + sign + digits;
      }
    }
  }
  if (base == 10 && !is_float && text[0] == '0')  // 0 and 00, but never 07
    n = std::min(n, std::max<std::size_t>(text.find_first_not_of("0_"), 1));
  const std::string digits = without_underscores(text.substr(prefix, n - prefix));
  if (is_float) {
    double value = 0;
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (end.ec == std::errc::result_out_of_range)
      error("the number " + digits + " is out of range");
    push(Type::kFloat, digits, Value::number(value));
  } else {
    std::int64_t value = 0;
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), value,
                                     static_cast<int>(base));
    if (end.ec != std::errc()) error("the integer " + digits.substr(0, 40) + " is beyond 64 bits");
    push(Type::kInteger, digits, Value::integer(value));
  }
  advance(n);
}

/// One of Python's escapes behind a backslash; moves `at` past it.
void append_escape(std::string_view text, std::size_t& at, std::string& out, const auto& error) {
  const char c = text[at++];
  const auto numeric = [&](std::size_t digits, const char* what) {
    std::uint32_t value = 0;
    const std::string_view part = text.substr(at, digits);
    const auto end = std::from_chars(part.data(), part.data() + part.size(), value, 16);
    if (part.size() < digits || end.ptr != part.data() + part.size())
      error(std::string("truncated ") + what + " escape");
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
      error(std::string("the ") + what + " escape names no character");
    at += digits;
    append_utf8(value, out);
  };
  constexpr std::string_view kLetters = "abfnrtv\\'\"", kMeanings = "\a\b\f\n\r\t\v\\'\"";
  if (const std::size_t known = kLetters.find(c); known != kLetters.npos) {
    out += kMeanings[known];
  } else if (c == '\n') {
    // A backslash at the line's end joins the lines.
  } else if (c == 'x') {
    numeric(2, "\\xXX");
  } else if (c == 'u') {
    numeric(4, "\\uXXXX");
  } else if (c == 'U') {
    numeric(8, "\\UXXXXXXXX");
  } else if (c == 'N') {
    error("escapes by name, \\N{...}, are not supported");
  } else if (c >= '0' && c <= '7') {
    char32_t value = static_cast<char32_t>(c - '0');
    for (int i = 0; i < 2 && at < text.size() && text[at] >= '0' && text[at] <= '7'; ++i)
      value = value * 8 + static_cast<char32_t>(text[at++] - '0');
    append_utf8(value, out);
  } else {
    out += '\\';
    out += c;
  }
}

void Lexer::string(char quote) {
  const std::string_view text = rest();
  std::size_t end = 1;
  while (end < text.size() && text[end] != quote) end += text[end] == '\\' ? 2 : 1;
  if (end >= text.size())
    error(std::string("unexpected char ") + quote + ": the string does not end");
  const std::string_view body = text.substr(1, end - 1);
  std::string value;
  for (std::size_t at = 0; at < body.size();) {
    if (body[at] != '\\') {
      value += body[at++];
    } else {
      append_escape(body, ++at, value, [this](std::string m) { error(std::move(m)); });
    }
  }
  push(Type::kString, std::move(value));
  advance(end + 1);
}

void Lexer::symbol(std::string& open_brackets) {
  constexpr std::string_view kSymbols[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                           "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                           ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
  for (const std::string_view symbol : kSymbols) {
    if (!rest().starts_with(symbol)) continue;
    constexpr std::string_view kOpen = "([{", kClose = ")]}";
    if (const std::size_t i = kOpen.find(symbol); i != kOpen.npos) open_brackets += kClose[i];
    if (kClose.find(symbol) != kClose.npos) {
      if (open_brackets.empty()) error("unexpected '" + std::string(symbol) + "'");
      if (open_brackets.back() != symbol[0])
        error("unexpected '" + std::string(symbol) + "', expected '" + open_brackets.back() + "'");
      open_brackets.pop_back();
    }
    push(Type::kOperator, std::string(symbol));
    return advance(symbol.size());
  }
  error("unexpected char '" + std::string(rest().substr(0, first_length(rest()))) + "'");
}

}  // namespace

std::vector<Token> tokenize(std::string_view source) { return Lexer(normalized(source)).run(); }

std::string describe(const Token& token) {
  switch (token.type) {
    case Type::kData:
      return "template text";
    case Type::kVariableBegin:
      return "begin of print statement";
    case Type::kVariableEnd:
      return "end of print statement";
    case Type::kBlockBegin:
      return "begin of statement block";
    case Type::kBlockEnd:
      return "end of statement block";
    case Type::kEnd:
      return "end of template";
    case Type::kString:
      return "string";
    default:
      return "'" + token.text + "'";
  }
}

}  // namespace ridgeline::jinja
