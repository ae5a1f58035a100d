#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {

class TokenizerPipeline;

/// Text to ids and back. Immutable after creation; safe from any number of threads.
class Tokenizer {
 public:
  /// Errors: an unknown pre-tokenizer (named, with those that exist), ids out of
  /// range, arrays of unequal length, a merge whose parts are no tokens, add_bos or
  /// add_eos without such a token.
  static Result<std::unique_ptr<Tokenizer>> create(VocabularyData data);
  /// The same for `data` of kind kPipeline, which gives the tokens, their types and the
  /// special ids; what is between text and ids is the pipeline's. It puts its prefix and
  /// suffix in the place of bos and eos.
  static Result<std::unique_ptr<Tokenizer>> create(
      VocabularyData data, std::unique_ptr<const TokenizerPipeline> pipeline);
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  struct EncodeOptions {
    /// Control and unknown tokens' texts become their ids. User-defined tokens' texts
    /// always do. The leftmost counts, then the longest.
    bool parse_special = false;
    std::optional<bool> add_bos = std::nullopt;  ///< absent: what the vocabulary says
    std::optional<bool> add_eos = std::nullopt;
  };
  /// Any bytes are accepted; invalid UTF-8 encodes byte by byte where the vocabulary
  /// can, as the unknown token or U+FFFD where not, and to nothing where it has
  /// neither. Linear in the text's length, n log n where it offers no place to cut.
  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const;
  std::vector<TokenId> encode(std::string_view text) const { return encode(text, EncodeOptions{}); }

  /// The bytes of one token as they appear inside a text (may be part of a
  /// character). Control and unknown tokens give "" unless render_special, ids that
  /// are out of range always.
  std::string piece(TokenId id, bool render_special = false) const;
  /// The whole text, byte for byte; the spaces that encode() put at its front and
  /// behind special tokens are dropped again. Where the vocabulary has a normalizer
  /// (WordPiece, some SentencePiece models) it is what that made of the text.
  std::string decode(std::span<const TokenId> ids, bool render_special = false) const;

  int vocab_size() const { return static_cast<int>(data().tokens.size()); }
  /// As created, but for the merges, which are not kept, and the ids of bos, eos and
  /// unknown, which are filled in.
  const VocabularyData& data() const;
  bool is_valid(TokenId id) const { return id >= 0 && id < vocab_size(); }
  bool adds_bos() const;
  bool adds_eos() const;
  /// Ends a generation: eos, eot, eom and the control tokens that models use for it.
  bool is_end_of_generation(TokenId id) const;
  /// The id of a token with exactly this text, as the vocabulary writes it.
  std::optional<TokenId> find(std::string_view token_text) const;

 private:
  friend class StreamingDetokenizer;
  struct Impl;
  explicit Tokenizer(std::unique_ptr<const Impl> impl);
  /// What the tokens before the next one make of it.
  struct TextState {
    /// Whether encode() would have put a space before what comes here; a pipeline's: no
    /// token has been shown yet.
    bool after_special = true;
    bool has_space = false;       ///< that was held back, as the text may end here
    std::size_t num_dropped = 0;  ///< characters at the text's front
  };
  void encode_between(std::string_view text, bool parse_special, std::vector<TokenId>& ids) const;
  /// Appends the token's bytes, and sets `state` for what comes next.
  void append_piece(TokenId id, bool render_special, TextState& state, std::string& text) const;
  void append_pipeline_piece(TokenId id, bool render_special, TextState& state,
                             std::string& text) const;

  std::unique_ptr<const Impl> impl_;
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
  /// Goes on behind `prompt`, whose text is not wanted: a space at the front of the
  /// first token then is a space, unless a special token stands before it.
  void skip(std::span<const TokenId> prompt);

 private:
  std::string take_characters();

  const Tokenizer* tokenizer_;
  bool render_special_;
  Tokenizer::TextState state_;
  std::string pending_;
};

}  // namespace ridgeline
