#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {

/// The "precompiled_charsmap" of SentencePiece models: which character sequences are
/// replaced by which, as a double array (Yata, "Darts-clone") and the replacements.
class PrecompiledCharsmap {
 public:
  /// Replaces nothing.
  PrecompiledCharsmap() = default;
  /// `bytes` may be empty: then it replaces nothing. Errors: sizes that do not fit, a
  /// replacement of more than 1 KiB or without end.
  static Result<PrecompiledCharsmap> parse(std::string_view bytes);

  struct Match {
    std::size_t length_bytes;
    std::string_view replacement;  ///< lives as long as the map
  };
  /// The longest sequence that is replaced and that `text` begins with.
  std::optional<Match> longest_match(std::string_view text) const;
  /// The shortest one.
  std::optional<Match> shortest_match(std::string_view text) const;
  bool empty() const { return units_.empty(); }

 private:
  template <class Visit>
  void for_each_match(std::string_view text, Visit&& visit) const;

  std::vector<std::uint32_t> units_;
  std::string replacements_;  // each ends with a NUL
};

/// What SentencePiece does to a text before it looks for tokens (Kudo, Richardson 2018):
/// characters are replaced, runs of spaces become one, spaces become U+2581, and one is
/// put in front.
class SentencePieceNormalizer {
 public:
  struct Options {
    bool add_space_prefix = true;
    bool remove_extra_whitespaces = true;  ///< and those at both ends
    bool escape_whitespaces = true;        ///< ' ' becomes U+2581
  };
  SentencePieceNormalizer(PrecompiledCharsmap charsmap, const Options& options)
      : charsmap_(std::move(charsmap)), options_(options) {}

  /// Bytes that are no UTF-8 stay as they are. Linear in the text's length.
  std::string normalize(std::string_view text) const;

  const PrecompiledCharsmap& charsmap() const { return charsmap_; }
  const Options& options() const { return options_; }

 private:
  struct Step {
    std::string_view replacement;
    std::size_t length_bytes;  // of what it replaces
  };
  Step step(std::string_view text) const;

  PrecompiledCharsmap charsmap_;
  Options options_;
};

/// The one that a SentencePiece vocabulary describes. Errors: its charsmap.
Result<SentencePieceNormalizer> make_sentencepiece_normalizer(const VocabularyData& data);

}  // namespace ridgeline
