#include "ridgeline/text/tokenizer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "ridgeline/base/check.h"
#include "ridgeline/text/byte_level_bpe.h"
#include "ridgeline/text/byte_level_map.h"
#include "ridgeline/text/end_of_generation.h"
#include "ridgeline/text/sentencepiece_bpe.h"
#include "ridgeline/text/special_tokens.h"
#include "ridgeline/text/text_encoder.h"
#include "ridgeline/text/token_index.h"
#include "ridgeline/text/tokenizer_pipeline.h"
#include "ridgeline/text/unigram.h"
#include "ridgeline/text/wordpiece.h"

namespace ridgeline {
namespace {

using Kind = VocabularyData::Kind;
using Type = VocabularyData::TokenType;

TokenIndex index_tokens(const VocabularyData& data) {
  TokenIndex index(data.tokens.size());
  for (std::size_t i = 0; i < data.tokens.size(); ++i) {
    if (!data.tokens[i].empty()) index.insert(data.tokens[i], static_cast<TokenId>(i));
  }
  return index;
}

// What files leave out or write as a negative number.
void settle_ids(VocabularyData& data, const TokenIndex& index) {
  for (auto* id : {&data.bos, &data.eos, &data.unknown, &data.padding, &data.eot, &data.eom}) {
    if (*id && **id < 0) id->reset();
  }
  if (data.kind == Kind::kWordPiece) {
    for (auto [id, text] : {std::pair(&data.bos, "[CLS]"),
                            {&data.eos, "[SEP]"},
                            {&data.unknown, "[UNK]"},
                            {&data.padding, "[PAD]"}}) {
      const TokenId found = index.find(text);
      if (!*id && found != kNoToken) *id = found;
    }
  }
  if (!is_sentencepiece(data.kind)) return;
  const auto find = [&](std::string_view text, Type type) -> std::optional<TokenId> {
    const TokenId id = index.find(text);
    if (id == kNoToken || data.type(id) != type) return std::nullopt;
    return id;
  };
  if (!data.bos) data.bos = find("<s>", Type::kControl);
  if (!data.eos) data.eos = find("</s>", Type::kControl);
  if (!data.unknown) {
    const auto unknown = std::find(data.types.begin(), data.types.end(), Type::kUnknown);
    if (unknown != data.types.end()) {
      data.unknown = static_cast<TokenId>(unknown - data.types.begin());
    }
  }
}

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";
constexpr auto kAllDropped = std::numeric_limits<std::size_t>::max();

// The marks before which BERT's decoder leaves out the space.
bool is_spaceless_mark(std::string_view text) {
  return text.size() == kSpaceMark.size() + 1 && text.starts_with(kSpaceMark) &&
         std::string_view(".,!?").find(text.back()) != std::string_view::npos;
}

// Appends the bytes that a token stands for inside a text.
void append_token_bytes(const VocabularyData& data, TokenId id, std::string& bytes) {
  const std::string& text = data.tokens[static_cast<std::size_t>(id)];
  const Type type = data.type(id);
  if (type == Type::kControl || type == Type::kUnknown || type == Type::kUserDefined) {
    bytes += text;
  } else if (const auto byte = byte_token_value(data, id)) {
    bytes.push_back(static_cast<char>(*byte));
  } else if (data.kind == Kind::kByteLevelBpe) {
    if (!append_byte_level_decoded(text, bytes)) bytes += text;
  } else if (data.kind == Kind::kWordPiece && is_spaceless_mark(text)) {
    bytes.push_back(text.back());
  } else {
    for (std::size_t at = 0; at < text.size();) {
      if (std::string_view(text).substr(at).starts_with(kSpaceMark)) {
        bytes.push_back(' ');
        at += kSpaceMark.size();
      } else {
        bytes.push_back(text[at++]);
      }
    }
  }
}

// A string for each token, one behind the other.
class Pieces {
 public:
  void reserve(std::size_t num_tokens) { begins_.reserve(num_tokens + 1); }
  std::string& bytes() { return bytes_; }
  void end_piece() { begins_.push_back(static_cast<std::uint32_t>(bytes_.size())); }
  bool empty() const { return begins_.size() == 1; }
  std::string_view operator[](TokenId id) const {
    const auto i = static_cast<std::size_t>(id);
    return std::string_view(bytes_).substr(begins_[i], begins_[i + 1] - begins_[i]);
  }

 private:
  std::string bytes_;
  std::vector<std::uint32_t> begins_ = {0};
};

}  // namespace

struct Tokenizer::Impl {
  Impl(VocabularyData d, std::unique_ptr<const TokenizerPipeline> p)
      : data(std::move(d)), index(index_tokens(data)), special(data), pipeline(std::move(p)) {}

  Status make_encoder();
  Status finish();
  void read_ends();
  void read_pieces();

  VocabularyData data;
  TokenIndex index;  // views data's tokens
  SpecialTokens special;
  std::unique_ptr<const TokenizerPipeline> pipeline;  // for its kind only
  std::unique_ptr<const TextEncoder> encoder;         // for the others
  bool adds_bos = false, adds_eos = false, drops_first_space = false;
  std::vector<TokenId> prefix, suffix;  // of a text that bos and eos are added to
  Pieces pieces;
  Pieces start_pieces;  // a pipeline's, for tokens at the front; empty if they are the same
  std::vector<TokenId> end_of_generation;
};

Status Tokenizer::Impl::make_encoder() {
  bool adds_bos_by_default = data.bos.has_value();
  bool adds_eos_by_default = false;
  switch (data.kind) {
    case Kind::kSentencePieceBpe: {
      RIDGELINE_TRY(encoder, SentencePieceBpe::create(data, index));
      break;
    }
    case Kind::kUnigram: {
      RIDGELINE_TRY(encoder, Unigram::create(data));
      adds_bos_by_default = false;
      adds_eos_by_default = data.eos.has_value();
      break;
    }
    case Kind::kWordPiece: {
      encoder = std::make_unique<WordPiece>(data);
      adds_eos_by_default = data.eos.has_value();
      break;
    }
    case Kind::kByteLevelBpe: {
      RIDGELINE_TRY(auto bpe, ByteLevelBpe::create(data, index));
      adds_bos_by_default = bpe->adds_bos_by_default() && data.bos.has_value();
      encoder = std::move(bpe);
      data.merges = std::vector<std::string>();
      break;
    }
    case Kind::kPipeline: {
      RIDGELINE_CHECK(pipeline != nullptr);
      adds_bos_by_default = !pipeline->ends().prefix.empty();
      adds_eos_by_default = !pipeline->ends().suffix.empty();
      break;
    }
  }
  adds_bos = data.add_bos.value_or(adds_bos_by_default);
  adds_eos = data.add_eos.value_or(adds_eos_by_default);
  // WordPiece's words all begin with a space; the text's first one loses it.
  drops_first_space = data.kind == Kind::kWordPiece ||
                      (is_sentencepiece(data.kind) && data.add_space_prefix.value_or(true));
  return {};
}

void Tokenizer::Impl::read_ends() {
  if (pipeline) {
    prefix = pipeline->ends().prefix;
    suffix = pipeline->ends().suffix;
  }
  if (prefix.empty() && data.bos) prefix = {*data.bos};
  if (suffix.empty() && data.eos) suffix = {*data.eos};
}

void Tokenizer::Impl::read_pieces() {
  pieces.reserve(data.tokens.size());
  start_pieces.reserve(data.tokens.size());
  bool are_same = true;
  for (std::size_t i = 0; i < data.tokens.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (pipeline) {
      const auto piece = pipeline->piece(id, data);
      pieces.bytes() += piece.inside;
      start_pieces.bytes() += piece.at_start;
      are_same = are_same && piece.inside == piece.at_start;
    } else {
      append_token_bytes(data, id, pieces.bytes());
    }
    pieces.end_piece();
    start_pieces.end_piece();
  }
  if (are_same) start_pieces = Pieces();
}

Status Tokenizer::Impl::finish() {
  settle_ids(data, index);
  RIDGELINE_TRY_STATUS(make_encoder());
  read_ends();
  if (adds_bos && prefix.empty()) {
    return fail("the vocabulary wants a bos token before every text but names none");
  }
  if (adds_eos && suffix.empty()) {
    return fail("the vocabulary wants an eos token behind every text but names none");
  }
  read_pieces();
  end_of_generation = end_of_generation_ids(data, index);
  return {};
}

Tokenizer::Tokenizer(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

Result<std::unique_ptr<Tokenizer>> Tokenizer::create(VocabularyData data) {
  RIDGELINE_CHECK(data.kind != Kind::kPipeline);
  return create(std::move(data), nullptr);
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::create(
    VocabularyData data, std::unique_ptr<const TokenizerPipeline> pipeline) {
  RIDGELINE_TRY_STATUS(check_vocabulary(data));
  auto impl = std::make_unique<Impl>(std::move(data), std::move(pipeline));
  RIDGELINE_TRY_STATUS(impl->finish());
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(impl)));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<TokenId> ids;
  // Prose has four or five bytes a token.
  ids.reserve(text.size() / 4 + 8);
  const auto append = [&ids](const std::vector<TokenId>& more) {
    ids.insert(ids.end(), more.begin(), more.end());
  };
  if (options.add_bos.value_or(impl_->adds_bos)) append(impl_->prefix);
  if (impl_->pipeline) {
    impl_->pipeline->encode(text, options.parse_special, ids);
  } else {
    encode_between(text, options.parse_special, ids);
  }
  if (options.add_eos.value_or(impl_->adds_eos)) append(impl_->suffix);
  return ids;
}

void Tokenizer::encode_between(std::string_view text, bool parse_special,
                               std::vector<TokenId>& ids) const {
  PieceCache cache(text.size());
  std::size_t at = 0;
  const auto encode_plain_until = [&](std::size_t end) {
    if (end > at) impl_->encoder->encode(text.substr(at, end - at), cache, ids);
  };
  for (const auto& found : impl_->special.find_all(text, parse_special)) {
    encode_plain_until(found.begin);
    ids.push_back(found.id);
    at = found.begin + found.length_bytes;
  }
  encode_plain_until(text.size());
}

std::string Tokenizer::piece(TokenId id, bool render_special) const {
  std::string text;
  TextState state;
  state.after_special = false;
  state.num_dropped = kAllDropped;
  append_piece(id, render_special, state, text);
  if (state.has_space) text.push_back(' ');
  return text;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool render_special) const {
  std::string text;
  text.reserve(ids.size() * 4);
  TextState state;
  for (const TokenId id : ids) append_piece(id, render_special, state, text);
  return text;
}

void Tokenizer::append_pipeline_piece(TokenId id, bool render_special, TextState& state,
                                      std::string& text) const {
  if (impl_->data.type(id) == Type::kControl && !render_special) return;
  const bool is_first = state.after_special && !impl_->start_pieces.empty();
  std::string_view bytes = (is_first ? impl_->start_pieces : impl_->pieces)[id];
  state.after_special = false;
  const TokenizerPipeline::Ends& ends = impl_->pipeline->ends();
  while (state.num_dropped < ends.max_dropped && !bytes.empty()) {
    if (bytes.starts_with(ends.dropped_character)) {
      bytes.remove_prefix(ends.dropped_character.size());
      ++state.num_dropped;
    } else {
      state.num_dropped = kAllDropped;
    }
  }
  if (state.has_space) text.push_back(' ');
  state.has_space = ends.drops_last_space && bytes.ends_with(' ');
  if (state.has_space) bytes.remove_suffix(1);
  text += bytes;
}

void Tokenizer::append_piece(TokenId id, bool render_special, TextState& state,
                             std::string& text) const {
  if (!is_valid(id)) return;
  if (impl_->pipeline) return append_pipeline_piece(id, render_special, state, text);
  bool& after_special = state.after_special;
  std::string_view bytes = impl_->pieces[id];
  switch (impl_->data.type(id)) {
    case Type::kControl:
      if (impl_->data.kind == Kind::kWordPiece) {
        if (!render_special) return;
        if (!after_special) text.push_back(' ');
        text += bytes;
        break;
      }
      after_special = true;
      if (render_special) text += bytes;
      return;
    case Type::kUserDefined:
      after_special = true;
      text += bytes;
      return;
    case Type::kUnknown:
      if (render_special) text += bytes;
      break;
    default:
      if (after_special && impl_->drops_first_space && bytes.starts_with(' ')) {
        bytes.remove_prefix(1);
      }
      text += bytes;
  }
  after_special = false;
}

const VocabularyData& Tokenizer::data() const { return impl_->data; }
bool Tokenizer::adds_bos() const { return impl_->adds_bos; }
bool Tokenizer::adds_eos() const { return impl_->adds_eos; }

bool Tokenizer::is_end_of_generation(TokenId id) const {
  return std::binary_search(impl_->end_of_generation.begin(), impl_->end_of_generation.end(), id);
}

std::optional<TokenId> Tokenizer::find(std::string_view token_text) const {
  const TokenId id = impl_->index.find(token_text);
  return id == kNoToken ? std::nullopt : std::optional(id);
}

}  // namespace ridgeline
