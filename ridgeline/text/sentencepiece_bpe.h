#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/flat_map.h"
#include "ridgeline/text/merge_table.h"
#include "ridgeline/text/sentencepiece_normalizer.h"
#include "ridgeline/text/text_encoder.h"
#include "ridgeline/text/token_index.h"

namespace ridgeline {

/// SentencePiece's BPE: spaces become U+2581, and over the whole text two neighbours
/// whose texts together are a token are joined, best score first (Kudo, Richardson
/// 2018). Where two characters stand side by side in no token at all, no join can
/// ever cross, so the text is cut there and the parts are encoded on their own: same
/// result, and the parts are mostly words.
class SentencePieceBpe final : public TextEncoder {
 public:
  /// `data` is checked; `index` has its tokens' texts. Errors: a charsmap that cannot be
  /// read.
  static Result<std::unique_ptr<SentencePieceBpe>> create(const VocabularyData& data,
                                                          const TokenIndex& index);

  void encode(std::string_view text, PieceCache& cache, std::vector<TokenId>& ids) const override;

 private:
  struct Part;

  SentencePieceBpe(const VocabularyData& data, const TokenIndex& index);
  void read_characters(std::vector<Part>& parts);
  void read_merges(const std::vector<Part>& parts, const std::vector<float>& scores);

  void encode_normalized(std::string_view text, bool with_prefix_space, PieceCache& cache,
                         std::vector<TokenId>& ids) const;
  bool is_joined(char32_t left, char32_t right) const;
  SymbolId symbol(char32_t character) const;
  /// How much of `text` must be encoded together, from its front.
  std::size_t piece_end(std::string_view text) const;
  void encode_piece(std::string_view piece, bool with_prefix_space, std::vector<Symbol>& symbols,
                    std::vector<TokenId>& ids) const;
  void append_missing_character(std::string_view bytes, std::vector<TokenId>& ids) const;

  bool adds_space_prefix_;
  std::optional<SentencePieceNormalizer> normalizer_;  // if it does more than the prefix
  SymbolId num_tokens_;
  MergeTable merges_;
  // Characters as the text has them, so a space stands for U+2581 too.
  std::array<SymbolId, 128> ascii_symbols_;
  FlatMap symbols_;                                   // by code point, the others
  std::array<std::bitset<128>, 128> ascii_joined_{};  // [left][right]
  FlatMap joined_;                                    // left << 32 | right, the others
  std::array<TokenId, 256> byte_ids_;
  TokenId unknown_ = kNoToken;  // a run of it is one
  TokenId missing_id_;          // instead of a character without byte tokens; may be kNoToken
};

}  // namespace ridgeline
