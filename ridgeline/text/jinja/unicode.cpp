#include "ridgeline/text/jinja/unicode.h"

#include <algorithm>

#include "ridgeline/text/jinja/case_table.h"
#include "ridgeline/text/utf8.h"

namespace ridgeline::jinja {
namespace {

bool contains(std::span<const CodePointRange> ranges, char32_t c) {
  // Ranges of step 2 may hold others within; they are few enough to look at each.
  return std::ranges::any_of(ranges, [c](const CodePointRange& r) {
    return c >= r.first && c <= r.last && (c - r.first) % r.step == 0;
  });
}

const CaseRange* find(std::span<const CaseRange> ranges, char32_t c) {
  for (const CaseRange& r : ranges)
    if (c >= r.first && c <= r.last && (c - r.first) % r.step == 0) return &r;
  return nullptr;
}

const CaseSequence* find(std::span<const CaseSequence> sequences, char32_t c) {
  for (const CaseSequence& s : sequences)
    if (s.from == c) return &s;
  return nullptr;
}

void append_moved(const CaseRange& range, char32_t c, std::string& out) {
  append_utf8(static_cast<char32_t>(static_cast<std::int32_t>(c) + range.delta), out);
}

void append_sequence(const CaseSequence& sequence, std::string& out) {
  for (const char32_t c : sequence.to)
    if (c != 0) append_utf8(c, out);
}

bool is_ascii_lower(char32_t c) { return c >= 'a' && c <= 'z'; }
bool is_ascii_upper(char32_t c) { return c >= 'A' && c <= 'Z'; }
bool is_ascii_digit(char32_t c) { return c >= '0' && c <= '9'; }

/// `piece` is one character, as it stands in the text: malformed bytes stay.
void append_upper(char32_t c, std::string_view piece, std::string& out) {
  if (c < 0x80) {
    out += static_cast<char>(is_ascii_lower(c) ? c - 32 : c);
  } else if (const CaseSequence* s = find(kToUpperSequences, c)) {
    append_sequence(*s, out);
  } else if (const CaseRange* r = find(kToUpper, c)) {
    append_moved(*r, c, out);
  } else {
    out += piece;
  }
}

void append_title(char32_t c, std::string_view piece, std::string& out) {
  if (const CaseRange* r = c < 0x80 ? nullptr : find(kToTitle, c)) {
    append_moved(*r, c, out);
  } else if (const CaseSequence* s = c < 0x80 ? nullptr : find(kToTitleSequences, c)) {
    append_sequence(*s, out);
  } else {
    append_upper(c, piece, out);
  }
}

constexpr char32_t kSigma = 0x3A3;

/// Lowers character `at` of `pieces`: a sigma that ends a word has a form of its own
/// (Unicode 14, table 3-17; the case-ignorable characters between are not looked through).
void append_lower(const std::vector<std::string_view>& pieces, std::size_t at, std::string& out) {
  const char32_t c = first_code_point(pieces[at]);
  if (c < 0x80) {
    out += static_cast<char>(is_ascii_upper(c) ? c + 32 : c);
  } else if (c == 0x130) {
    out += "i\xCC\x87";
  } else if (c == kSigma) {
    const bool before = at > 0 && is_alpha(first_code_point(pieces[at - 1]));
    const bool after = at + 1 < pieces.size() && is_alpha(first_code_point(pieces[at + 1]));
    append_utf8(before && !after ? 0x3C2 : 0x3C3, out);
  } else if (const CaseRange* r = find(kToLower, c)) {
    append_moved(*r, c, out);
  } else {
    out += pieces[at];
  }
}

bool is_line_end(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

template <class IsStripped>
std::string_view strip(std::string_view text, Ends ends, const IsStripped& is_stripped) {
  if (static_cast<int>(ends) & static_cast<int>(Ends::kLeft)) {
    while (!text.empty()) {
      const std::size_t n = first_length(text);
      if (!is_stripped(text.substr(0, n))) break;
      text.remove_prefix(n);
    }
  }
  if (static_cast<int>(ends) & static_cast<int>(Ends::kRight)) {
    while (!text.empty()) {
      std::size_t start = text.size() - 1;  // of the last character: at most 4 bytes
      for (std::size_t n = 2; n <= 4 && n <= text.size(); ++n)
        if (first_length(text.substr(text.size() - n)) == n) start = text.size() - n;
      if (!is_stripped(text.substr(start))) break;
      text.remove_suffix(text.size() - start);
    }
  }
  return text;
}

}  // namespace

std::size_t first_length(std::string_view text) {
  if (static_cast<unsigned char>(text.front()) < 0x80) return 1;
  const Utf8Step step = utf8_step(text);
  return step.status == Utf8Step::Status::kCharacter ? step.length_bytes : 1;
}

char32_t first_code_point(std::string_view text) {
  const auto byte = static_cast<unsigned char>(text.front());
  return byte < 0x80 ? byte : utf8_step(text).code_point;
}

std::size_t code_points(std::string_view text) {
  std::size_t n = 0;
  for (; !text.empty(); ++n) text.remove_prefix(first_length(text));
  return n;
}

std::size_t byte_offset(std::string_view text, std::size_t index) {
  std::size_t at = 0;
  for (; index > 0 && at < text.size(); --index) at += first_length(text.substr(at));
  return at;
}

std::vector<std::string_view> split_code_points(std::string_view text) {
  std::vector<std::string_view> pieces;
  while (!text.empty()) {
    const std::size_t n = first_length(text);
    pieces.push_back(text.substr(0, n));
    text.remove_prefix(n);
  }
  return pieces;
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}
bool is_printable(char32_t c) {
  return c < 0x80 ? c >= 0x20 && c < 0x7F : !contains(kUnprintableRanges, c);
}
bool is_lower(char32_t c) { return c < 0x80 ? is_ascii_lower(c) : contains(kLowerRanges, c); }
bool is_upper(char32_t c) { return c < 0x80 ? is_ascii_upper(c) : contains(kUpperRanges, c); }
bool is_alpha(char32_t c) {
  return c < 0x80 ? is_ascii_lower(c) || is_ascii_upper(c) : contains(kAlphaRanges, c);
}
bool is_decimal(char32_t c) { return c < 0x80 ? is_ascii_digit(c) : contains(kDecimalRanges, c); }
bool is_digit(char32_t c) { return is_decimal(c) || (c >= 0x80 && contains(kDigitRanges, c)); }
bool is_numeric(char32_t c) { return is_digit(c) || (c >= 0x80 && contains(kNumericRanges, c)); }
bool is_alnum(char32_t c) { return is_alpha(c) || is_numeric(c); }

std::string to_upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (; !text.empty(); text.remove_prefix(first_length(text)))
    append_upper(first_code_point(text), text.substr(0, first_length(text)), out);
  return out;
}

std::string to_lower(std::string_view text) {
  const std::vector<std::string_view> pieces = split_code_points(text);
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < pieces.size(); ++i) append_lower(pieces, i, out);
  return out;
}

std::string to_title_case(std::string_view text) {
  const std::vector<std::string_view> pieces = split_code_points(text);
  std::string out;
  bool in_word = false;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const char32_t c = first_code_point(pieces[i]);
    if (in_word) {
      append_lower(pieces, i, out);
    } else {
      append_title(c, pieces[i], out);
    }
    in_word = is_lower(c) || is_upper(c) || (c >= 0x80 && find(kToTitle, c) != nullptr);
  }
  return out;
}

std::string capitalize(std::string_view text) {
  const std::vector<std::string_view> pieces = split_code_points(text);
  std::string out;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (i == 0) {
      append_title(first_code_point(pieces[0]), pieces[0], out);
    } else {
      append_lower(pieces, i, out);
    }
  }
  return out;
}

std::string swap_case(std::string_view text) {
  const std::vector<std::string_view> pieces = split_code_points(text);
  std::string out;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const char32_t c = first_code_point(pieces[i]);
    if (is_upper(c)) {
      append_lower(pieces, i, out);
    } else if (is_lower(c)) {
      append_upper(c, pieces[i], out);
    } else {
      out += pieces[i];
    }
  }
  return out;
}

std::string_view strip_spaces(std::string_view text, Ends ends) {
  return strip(text, ends,
               [](std::string_view piece) { return is_space(first_code_point(piece)); });
}

std::string_view strip_characters(std::string_view text, std::string_view characters, Ends ends) {
  const std::vector<std::string_view> set = split_code_points(characters);
  return strip(text, ends, [&set](std::string_view piece) {
    return std::ranges::find(set, piece) != set.end();
  });
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  std::size_t start = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const std::size_t n = first_length(rest);
    if (!is_line_end(first_code_point(rest))) {
      at += n;
      continue;
    }
    const std::size_t end = at + (rest.starts_with("\r\n") ? 2 : n);
    lines.push_back(text.substr(start, (keep_ends ? end : at) - start));
    start = at = end;
  }
  if (start < text.size()) lines.push_back(text.substr(start));
  return lines;
}

}  // namespace ridgeline::jinja
