#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ridgeline/text/utf8.h"

// What tokenizer.json's parts ask of Unicode, by utf8proc.
namespace ridgeline {

bool is_white_space(char32_t c);       ///< White_Space
bool is_number(char32_t c);            ///< Nd, Nl, No
bool is_mark(char32_t c);              ///< Mn, Mc, Me
bool is_nonspacing_mark(char32_t c);   ///< Mn
bool is_punctuation(char32_t c);       ///< ASCII's, and the categories P*
bool is_control_or_other(char32_t c);  ///< Cc, Cf, Cn, Co, Cs
char32_t to_lower(char32_t c);         ///< the simple mapping

enum class NormalizationForm : std::uint8_t { kNfc, kNfd, kNfkc, kNfkd };
/// `text` is valid UTF-8.
std::string normalize(std::string_view text, NormalizationForm form);

/// How much of `text`, which is valid UTF-8 and not empty, is its first extended
/// grapheme cluster.
std::size_t first_grapheme_bytes(std::string_view text);

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
