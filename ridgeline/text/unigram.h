#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/byte_trie.h"
#include "ridgeline/text/flat_map.h"
#include "ridgeline/text/sentencepiece_normalizer.h"
#include "ridgeline/text/text_encoder.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {

/// A unigram language model (Kudo 2018): of all ways to cut a text into pieces it takes
/// the one whose pieces' scores, which are log probabilities, have the greatest sum
/// (Viterbi's algorithm). Of equal sums, the one with the longest last piece.
class UnigramModel {
 public:
  struct Piece {
    std::string_view text;  ///< left out if it is empty or no UTF-8
    TokenId id;
    double score;
  };
  /// What a byte falls back to; kNoToken where the vocabulary has no such token.
  using ByteIds = std::array<TokenId, 256>;
  static ByteIds no_byte_ids();

  struct Options {
    /// For a run of characters that are no pieces and have no bytes to fall back to;
    /// if this is kNoToken too, they become nothing.
    TokenId unknown = kNoToken;
    ByteIds byte_ids = no_byte_ids();
  };
  /// `pieces` are all that a text may become; of equal texts the first counts. Their
  /// texts need not outlive the constructor.
  UnigramModel(std::span<const Piece> pieces, const Options& options);

  /// Appends the ids of `text`, which is normalized.
  void append_ids(std::string_view text, std::vector<TokenId>& ids) const;

 private:
  struct Scored {
    double score;
    TokenId id;
  };
  void append_missing(std::string_view characters, std::vector<TokenId>& ids) const;

  ByteTrie trie_;  // values are places in pieces_
  std::vector<Scored> pieces_;
  double missing_score_;
  Options options_;
};

/// SentencePiece's unigram tokenizer: its normalizer, then the model. Where two
/// characters of which the second is U+2581 stand side by side in no piece, no piece can
/// cross, so the text is cut there: same result, and the parts are mostly words.
class Unigram final : public TextEncoder {
 public:
  /// `data` is checked. Errors: a charsmap that cannot be read.
  static Result<std::unique_ptr<Unigram>> create(const VocabularyData& data);

  void encode(std::string_view text, PieceCache& cache, std::vector<TokenId>& ids) const override;

 private:
  Unigram(SentencePieceNormalizer normalizer, const std::vector<UnigramModel::Piece>& pieces,
          const UnigramModel::Options& options);
  /// How much of `text` must be encoded together, from its front.
  std::size_t part_end(std::string_view text) const;

  SentencePieceNormalizer normalizer_;
  UnigramModel model_;
  TokenId unknown_ = kNoToken;  // a run of it is one
  FlatMap before_space_mark_;   // the characters that precede U+2581 within a piece
};

}  // namespace ridgeline
