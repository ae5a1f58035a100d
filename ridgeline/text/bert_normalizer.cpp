#include "ridgeline/text/bert_normalizer.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include "ridgeline/text/bert_characters.h"
#include "ridgeline/text/utf8.h"

namespace ridgeline {
namespace {

// Appends the canonical decomposition of the text without its non-spacing marks. Marks
// that take space stay, and are put in canonical order (Unicode 15, 3.11 D109).
class AccentStripper {
 public:
  explicit AccentStripper(std::string& text) : text_(text) {}
  void push(char32_t c) {
    bert::decompose(c, [this](char32_t part) {
      const int combining_class = bert::combining_class_of(part);
      if (combining_class == 0) flush();
      if (bert::is_nonspacing_mark(part)) return;
      if (combining_class == 0) {
        append_utf8(part, text_);
      } else {
        marks_.emplace_back(combining_class, part);
      }
    });
  }
  void flush() {
    if (marks_.empty()) return;
    std::stable_sort(marks_.begin(), marks_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& mark : marks_) append_utf8(mark.second, text_);
    marks_.clear();
  }

 private:
  std::string& text_;
  std::vector<std::pair<int, char32_t>> marks_;  // class and character
};

template <class Visit>
void for_each_character(std::string_view text, Visit&& visit) {
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    visit(step.code_point);
    text.remove_prefix(step.length_bytes);
  }
}

std::string clean_and_space(std::string_view text, const BertNormalizerOptions& options) {
  std::string cleaned;
  cleaned.reserve(text.size());
  for_each_character(text, [&](char32_t c) {
    if (options.clean_text) {
      if (c == 0 || c == kReplacementCharacter || bert::is_control(c)) return;
      if (bert::is_white_space(c)) c = ' ';
    }
    const bool is_spaced = options.space_cjk && bert::is_cjk(c);
    if (is_spaced) cleaned.push_back(' ');
    append_utf8(c, cleaned);
    if (is_spaced) cleaned.push_back(' ');
  });
  return cleaned;
}

std::string lowercase(std::string_view text) {
  std::string lower;
  lower.reserve(text.size());
  for_each_character(text, [&lower](char32_t c) {
    if (c < 0x80) {
      lower.push_back(static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c));
    } else {
      bert::append_lowercase(c, lower);
    }
  });
  return lower;
}

std::string strip_accents(std::string_view text) {
  std::string stripped;
  stripped.reserve(text.size());
  AccentStripper stripper(stripped);
  for_each_character(text, [&stripper](char32_t c) { stripper.push(c); });
  stripper.flush();
  return stripped;
}

}  // namespace

std::string bert_normalize(std::string_view text, const BertNormalizerOptions& options) {
  std::string normalized = clean_and_space(text, options);
  if (options.strip_accents.value_or(options.lowercase)) normalized = strip_accents(normalized);
  if (options.lowercase) normalized = lowercase(normalized);
  return normalized;
}

bool BertWords::next(std::string_view& word) {
  std::size_t length = 0;
  while (length < text_.size()) {
    const Utf8Step step = utf8_step(text_.substr(length));
    const bool ends_word =
        bert::is_white_space(step.code_point) || bert::is_punctuation(step.code_point);
    if (ends_word && length > 0) break;
    if (bert::is_white_space(step.code_point)) {
      text_.remove_prefix(step.length_bytes);
      continue;
    }
    length += step.length_bytes;
    if (ends_word) break;
  }
  word = text_.substr(0, length);
  text_.remove_prefix(length);
  return length > 0;
}

}  // namespace ridgeline
