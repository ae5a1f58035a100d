#pragma once

#include <cstdint>
#include <string>

#include "ridgeline/text/utf8.h"

namespace ridgeline::bert {

// Which characters BERT's tokenizer takes for what, as the tokenizers library answers:
// by Unicode 8's categories, white space, case and decomposition by today's.

bool is_white_space(char32_t c);
bool is_control(char32_t c);  ///< Cc, Cf and Co, but for tab, line feed and return
/// The categories P, and all of ASCII that is no letter, digit, space or control.
bool is_punctuation(char32_t c);
bool is_nonspacing_mark(char32_t c);
bool is_cjk(char32_t c);

int combining_class_of(char32_t c);
/// The lower case of `c`, which may be several characters.
void append_lowercase(char32_t c, std::string& text);

/// The canonical decomposition, at most so many characters (Unicode 15 needs 4).
inline constexpr int kMaxDecomposition = 8;
int decompose(char32_t c, std::int32_t (&parts)[kMaxDecomposition]);
/// Calls visit(part) for each character of it.
template <class Visit>
void decompose(char32_t c, Visit&& visit) {
  std::int32_t parts[kMaxDecomposition];
  const int num_parts = decompose(c, parts);
  for (int i = 0; i < num_parts; ++i) visit(static_cast<char32_t>(parts[i]));
}

}  // namespace ridgeline::bert
