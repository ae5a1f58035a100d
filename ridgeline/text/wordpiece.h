#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "ridgeline/text/bert_normalizer.h"
#include "ridgeline/text/byte_trie.h"
#include "ridgeline/text/text_encoder.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {

/// WordPiece's search within one word: the longest token that it begins with, then the
/// longest continuation of what is left; a word that cannot be made so is unknown as a
/// whole (Wu et al. 2016, as BERT has it).
class WordPieceModel {
 public:
  struct Options {
    TokenId unknown = kNoToken;        ///< if this is none, such a word becomes nothing
    std::size_t max_word_chars = 100;  ///< a longer word is unknown
  };
  /// The values are ids. Tokens that continue a word are given without their "##".
  WordPieceModel(std::vector<ByteTrie::Entry> word_starts,
                 std::vector<ByteTrie::Entry> continuations, const Options& options);

  void append_ids(std::string_view word, std::vector<TokenId>& ids) const;

 private:
  ByteTrie word_starts_, continuations_;
  Options options_;
};

/// BERT's tokenizer: normalize, cut into words, search each.
class WordPiece final : public TextEncoder {
 public:
  /// `data` is checked.
  explicit WordPiece(const VocabularyData& data);

  void encode(std::string_view text, PieceCache& cache, std::vector<TokenId>& ids) const override;

 private:
  BertNormalizerOptions normalizer_;
  WordPieceModel model_;
};

}  // namespace ridgeline
