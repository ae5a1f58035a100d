#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"

namespace ridgeline {

using TokenId = std::int32_t;
inline constexpr TokenId kNoToken = -1;

/// What a vocabulary consists of, whichever file it came from: model/vocabulary.h fills
/// this from GGUF metadata, sentencepiece_model.h and tiktoken.h from such files.
struct VocabularyData {
  enum class Kind {
    kSentencePieceBpe,
    kByteLevelBpe,
    kUnigram,
    kWordPiece,
    kPipeline  ///< what a TokenizerPipeline does
  };
  enum class TokenType : std::uint8_t {  // GGUF's numbers; any other counts as kUndefined
    kUndefined = 0,
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6
  };
  Kind kind = Kind::kSentencePieceBpe;
  std::string pre_tokenizer;  ///< "llama-bpe", "qwen2", ...; byte-level only; "" is "default"
  /// An empty text is never encoded to; of equal texts only the first is. WordPiece: what
  /// begins a word has U+2581 in front, as GGUF writes it.
  std::vector<std::string> tokens;
  std::vector<float> scores;        ///< SentencePiece's kinds: as long as tokens; others: ignored
  std::vector<TokenType> types;     ///< as long as tokens, or empty: all normal
  std::vector<std::string> merges;  ///< byte-level: "left right", best first
  /// A negative id means none, as an absent one does. SentencePiece vocabularies that
  /// name none have the ids of their "<s>", "</s>" and unknown-type tokens.
  std::optional<TokenId> bos, eos, unknown, padding, eot, eom;
  std::vector<TokenId> end_ids;  ///< more that end a generation; any numbers
  std::optional<bool> add_bos, add_eos, add_space_prefix;  ///< absent: the kind's default
  /// SentencePiece's normalizer; absent: spaces stay as they are, nothing is replaced.
  std::optional<bool> remove_extra_whitespaces;
  std::string precompiled_charsmap;
  /// WordPiece's; absent: both are done.
  std::optional<bool> lowercase, strip_accents;

  TokenType type(TokenId id) const {
    return types.empty() ? TokenType::kNormal : types[static_cast<std::size_t>(id)];
  }
};

/// SentencePiece's BPE and its unigram model write texts and bytes the same way.
inline bool is_sentencepiece(VocabularyData::Kind kind) {
  return kind == VocabularyData::Kind::kSentencePieceBpe || kind == VocabularyData::Kind::kUnigram;
}

/// Whether every field can be used as its comment says; the merges are looked at when
/// the tokenizer reads them.
Status check_vocabulary(const VocabularyData& data);

/// The byte that a token stands for where the vocabulary writes bytes as "<0x0A>":
/// byte tokens, and in SentencePiece vocabularies also what is just written so.
std::optional<std::uint8_t> byte_token_value(const VocabularyData& data, TokenId id);

/// A text from a file as it may stand in an error's sentence: in quotes, cut off
/// after 48 bytes, what is not printable ASCII as \xNN.
std::string quoted(std::string_view text);

}  // namespace ridgeline
