#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"

namespace ridgeline {

using TokenId = std::int32_t;

/// What a vocabulary consists of, whichever file it came from. `text` knows no
/// file format: model/tokenizer_gguf.h fills this from GGUF metadata.
struct VocabularyData {
  enum class Kind { kSentencePieceBpe, kByteLevelBpe };
  enum class TokenType : std::uint8_t {  // GGUF's numbers
    kUndefined = 0, kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6
  };
  Kind kind = Kind::kSentencePieceBpe;
  std::string pre_tokenizer;            ///< "llama-bpe", "qwen2", "gpt-2", ...; byte-level only
  std::vector<std::string> tokens;
  std::vector<float> scores;            ///< SentencePiece; may be empty for byte-level
  std::vector<TokenType> types;         ///< as long as tokens
  std::vector<std::string> merges;      ///< byte-level: "left right", best first
  std::optional<TokenId> bos, eos, unknown, padding, eot, eom;
  std::optional<bool> add_bos, add_eos, add_space_prefix;  ///< absent: the kind's default
};

/// Text to ids and back. Immutable after creation; safe from any number of threads.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Errors: an unknown pre-tokenizer (named, with those that exist), ids out of
  /// range, arrays of unequal length, a merge whose parts are no tokens.
  static Result<std::unique_ptr<Tokenizer>> create(VocabularyData data);

  struct EncodeOptions {
    bool parse_special = false;         ///< control and user-defined tokens' texts become their ids
    std::optional<bool> add_bos, add_eos;  ///< default: what the vocabulary says
  };
  /// Any bytes are accepted; invalid UTF-8 encodes byte by byte where the vocabulary
  /// can, as U+FFFD or the unknown token where not.
  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const;
  std::vector<TokenId> encode(std::string_view text) const { return encode(text, EncodeOptions{}); }

  /// The bytes of one token as they appear inside a text (may be part of a
  /// character). Control tokens give "" unless render_special.
  std::string piece(TokenId id, bool render_special = false) const;
  /// The whole text; the prefix space that encode() added is dropped again.
  std::string decode(std::span<const TokenId> ids, bool render_special = false) const;

  int vocab_size() const { return static_cast<int>(data_.tokens.size()); }
  const VocabularyData& data() const { return data_; }
  bool is_valid(TokenId id) const { return id >= 0 && id < vocab_size(); }
  bool adds_bos() const;
  bool adds_eos() const;
  /// Ends a generation: eos, eot, eom and the control tokens that models use for it.
  bool is_end_of_generation(TokenId id) const;
  /// The id of a token with exactly this text.
  std::optional<TokenId> find(std::string_view token_text) const;

 protected:
  VocabularyData data_;
};

/// Turns a stream of ids into text that never ends inside a UTF-8 character: bytes
/// of an unfinished character wait for the next token. Invalid bytes come out as
/// U+FFFD once it is certain that they are invalid. Drops a SentencePiece prefix
/// space at the start, as decode() does.
class StreamingDetokenizer {
 public:
  explicit StreamingDetokenizer(const Tokenizer& tokenizer, bool render_special = false);
  std::string push(TokenId id);
  std::string finish();  ///< what is still held back

 private:
  const Tokenizer* tokenizer_;
  bool render_special_;
  bool at_start_ = true;
  std::string pending_;
};

}  // namespace ridgeline
