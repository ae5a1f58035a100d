#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/merge_table.h"
#include "ridgeline/text/pre_tokenizer.h"
#include "ridgeline/text/text_encoder.h"
#include "ridgeline/text/token_index.h"

namespace ridgeline {

/// GPT-2's byte-level BPE: regular expressions cut the text into words, and within a
/// word bytes are merged, best rank first.
class ByteLevelBpe final : public TextEncoder {
 public:
  /// `data` is checked and outlives the encoder, but for its merges; `index` has its
  /// tokens' texts. Errors: an unknown pre-tokenizer, a merge that is not two tokens
  /// whose texts together are a third.
  static Result<std::unique_ptr<ByteLevelBpe>> create(const VocabularyData& data,
                                                      const TokenIndex& index);

  void encode(std::string_view text, PieceCache& cache, std::vector<TokenId>& ids) const override;

  bool adds_bos_by_default() const { return pre_tokenizer_.row().add_bos; }

 private:
  struct Session;

  ByteLevelBpe(const VocabularyData& data, const TokenIndex& index, PreTokenizer pre_tokenizer);
  Status read_merges(const VocabularyData& data, const TokenIndex& index);
  Status read_merges(const VocabularyData& data, const TokenIndex& index, std::size_t first,
                     std::size_t count);
  void index_words(const VocabularyData& data);

  void split(std::string_view text, int pattern, Session& session) const;
  void encode_piece(std::string_view piece, int next_pattern, Session& session) const;
  void encode_word(std::string_view word, Session& session) const;

  PreTokenizer pre_tokenizer_;
  MergeTable merges_;
  std::array<SymbolId, 256> byte_ids_;
  std::vector<TokenId> missing_byte_ids_;  // instead of a byte that is no token
  // For pre-tokenizers that ignore merges: whole words. The index views the texts.
  std::vector<std::string> word_texts_;
  std::optional<TokenIndex> words_;
};

}  // namespace ridgeline
