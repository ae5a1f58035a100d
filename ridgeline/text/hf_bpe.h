#pragma once

#include <array>
#include <bitset>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/text/flat_map.h"
#include "ridgeline/text/hf_json.h"
#include "ridgeline/text/hf_model.h"
#include "ridgeline/text/merge_table.h"

namespace ridgeline {

/// tokenizer.json's BPE: a word's characters, each a token or what stands for it, are
/// merged, best rank first (Sennrich et al. 2016). Behind a byte-level pre-tokenizer it
/// takes the bytes themselves, where all of them are tokens.
class HfBpe final : public HfModel {
 public:
  static Result<std::unique_ptr<const HfModel>> create(const HfTokenizerJson& file,
                                                       const HfPart& part,
                                                       const VocabularyData& data,
                                                       const TokenIndex& index,
                                                       HfPreTokenizer& pre_tokenizer);

  void encode(std::string_view word, PieceCache& cache, std::vector<TokenId>& ids) const override;
  bool encode_bytes(std::string_view bytes, std::vector<TokenId>& ids) const override;

 private:
  HfBpe(const HfTokenizerJson& file, const VocabularyData& data, const TokenIndex& index);
  Status read_options(const HfPart& part);
  void read_characters(const HfTokenizerJson& file);
  Status read_merges(const HfTokenizerJson& file);
  // The merges from `first` on, of which `text` is what the file has.
  Status read_merges(const HfTokenizerJson& file, std::size_t first, std::size_t count,
                     std::string_view text);
  void read_joins(const HfTokenizerJson& file);
  bool take_bytes(const HfTokenizerJson& file);
  bool is_control(TokenId id) const {
    return control_ids_.contains(static_cast<std::uint32_t>(id));
  }

  TokenId character_id(char32_t c, std::string_view bytes, bool is_first, bool is_last) const;
  void encode_word(std::string_view word, std::vector<TokenId>& ids) const;
  void merge_and_append(std::vector<Symbol>& symbols, std::vector<TokenId>& ids) const;
  bool is_joined(char32_t left, char32_t right) const;

  const TokenIndex& index_;
  FlatMap control_ids_;  // which never come out of plain text
  MergeTable merges_;
  TokenId unknown_ = kNoToken;
  bool fuses_unknown_ = false, byte_fallback_ = false, ignores_merges_ = false;
  std::string prefix_, suffix_;
  std::array<TokenId, 256> byte_ids_;  // "<0x0A>"; if takes_bytes_, of the byte-level map
  bool takes_bytes_ = false;
  // For ignores_merges_ with takes_bytes_: tokens as bytes. The index views the texts.
  std::vector<std::string> word_texts_;
  std::optional<TokenIndex> words_;
  // Characters that are tokens.
  std::array<TokenId, 128> ascii_ids_{};
  FlatMap character_ids_;
  // Which characters stand side by side in tokens that merging makes; where two do not,
  // no merge can cross.
  bool cuts_ = false;
  std::array<std::bitset<128>, 128> ascii_joined_{};
  FlatMap joined_;  // left << 32 | right, the others
};

}  // namespace ridgeline
