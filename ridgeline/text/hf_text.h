#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ridgeline/text/utf8.h"

// What several of tokenizer.json's parts do with text; what they ask of Unicode, utf8proc
// answers.
namespace ridgeline {

bool is_number(char32_t c);  ///< Nd, Nl, No
bool is_mark(char32_t c);    ///< Mn, Mc, Me

enum class NormalizationForm : std::uint8_t { kNfc, kNfd, kNfkc, kNfkd };
/// `text` is valid UTF-8.
std::string normalize(std::string_view text, NormalizationForm form);

/// How much of `text`, which is valid UTF-8 and not empty, is its first extended
/// grapheme cluster.
std::size_t first_grapheme_bytes(std::string_view text);

/// Every occurrence of `from`, which is not empty, from the left.
void replace_all(std::string& text, std::string_view from, std::string_view to);

/// Calls visit(code_point, its bytes) for each character of valid UTF-8.
template <class Visit>
void for_each_character(std::string_view text, Visit&& visit) {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text.substr(at));
    visit(step.code_point, text.substr(at, step.length_bytes));
    at += step.length_bytes;
  }
}

}  // namespace ridgeline
