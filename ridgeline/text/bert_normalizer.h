#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace ridgeline {

/// What BERT does to a text before it looks for words (Devlin et al. 2018, the
/// "BasicTokenizer"), as the tokenizers library does it.
struct BertNormalizerOptions {
  bool clean_text = true;  ///< white space becomes ' ', control characters go
  bool space_cjk = true;   ///< spaces on both sides of Chinese characters
  bool lowercase = true;
  std::optional<bool> strip_accents;  ///< absent: as `lowercase` says
};

/// Bytes that are no UTF-8 count as U+FFFD, which clean_text removes.
std::string bert_normalize(std::string_view text, const BertNormalizerOptions& options);

/// Walks over the words of a text: white space is between them, a punctuation mark is
/// one of its own.
class BertWords {
 public:
  explicit BertWords(std::string_view text) : text_(text) {}
  /// False at the end; else sets `word`, which is never empty.
  bool next(std::string_view& word);

 private:
  std::string_view text_;  // what is left
};

}  // namespace ridgeline
