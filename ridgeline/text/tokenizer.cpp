#include "ridgeline/text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "ridgeline/text/byte_level_bpe.h"
#include "ridgeline/text/byte_level_map.h"
#include "ridgeline/text/end_of_generation.h"
#include "ridgeline/text/sentencepiece_bpe.h"
#include "ridgeline/text/special_tokens.h"
#include "ridgeline/text/text_encoder.h"
#include "ridgeline/text/token_index.h"
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

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(VocabularyData d) : data(std::move(d)), index(index_tokens(data)), special(data) {}

  Status make_encoder();
  Status finish();

  std::string_view bytes(TokenId id) const {
    const auto i = static_cast<std::size_t>(id);
    return std::string_view(piece_bytes)
        .substr(piece_begins[i], piece_begins[i + 1] - piece_begins[i]);
  }

  VocabularyData data;
  TokenIndex index;  // views data's tokens
  SpecialTokens special;
  std::unique_ptr<const TextEncoder> encoder;
  bool adds_bos = false, adds_eos = false, drops_first_space = false;
  std::string piece_bytes;  // of all tokens, one behind the other
  std::vector<std::uint32_t> piece_begins;
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
  }
  adds_bos = data.add_bos.value_or(adds_bos_by_default);
  adds_eos = data.add_eos.value_or(adds_eos_by_default);
  // WordPiece's words all begin with a space; the text's first one loses it.
  drops_first_space = data.kind == Kind::kWordPiece ||
                      (is_sentencepiece(data.kind) && data.add_space_prefix.value_or(true));
  return {};
}

Status Tokenizer::Impl::finish() {
  settle_ids(data, index);
  RIDGELINE_TRY_STATUS(make_encoder());
  if (adds_bos && !data.bos) {
    return fail("the vocabulary wants a bos token before every text but names none");
  }
  if (adds_eos && !data.eos) {
    return fail("the vocabulary wants an eos token behind every text but names none");
  }
  piece_begins.reserve(data.tokens.size() + 1);
  piece_begins.push_back(0);
  for (std::size_t i = 0; i < data.tokens.size(); ++i) {
    append_token_bytes(data, static_cast<TokenId>(i), piece_bytes);
    piece_begins.push_back(static_cast<std::uint32_t>(piece_bytes.size()));
  }
  end_of_generation = end_of_generation_ids(data, index);
  return {};
}

Tokenizer::Tokenizer(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

Result<std::unique_ptr<Tokenizer>> Tokenizer::create(VocabularyData data) {
  RIDGELINE_TRY_STATUS(check_vocabulary(data));
  auto impl = std::make_unique<Impl>(std::move(data));
  RIDGELINE_TRY_STATUS(impl->finish());
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(impl)));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<TokenId> ids;
  // Prose has four or five bytes a token.
  ids.reserve(text.size() / 4 + 8);
  if (options.add_bos.value_or(impl_->adds_bos) && impl_->data.bos) ids.push_back(*impl_->data.bos);
  PieceCache cache(text.size());
  std::size_t at = 0;
  const auto encode_plain_until = [&](std::size_t end) {
    if (end > at) impl_->encoder->encode(text.substr(at, end - at), cache, ids);
  };
  for (const auto& found : impl_->special.find_all(text, options.parse_special)) {
    encode_plain_until(found.begin);
    ids.push_back(found.id);
    at = found.begin + found.length_bytes;
  }
  encode_plain_until(text.size());
  if (options.add_eos.value_or(impl_->adds_eos) && impl_->data.eos) ids.push_back(*impl_->data.eos);
  return ids;
}

std::string Tokenizer::piece(TokenId id, bool render_special) const {
  std::string text;
  bool after_special = false;
  append_piece(id, render_special, after_special, text);
  return text;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool render_special) const {
  std::string text;
  text.reserve(ids.size() * 4);
  bool after_special = true;
  for (const TokenId id : ids) append_piece(id, render_special, after_special, text);
  return text;
}

void Tokenizer::append_piece(TokenId id, bool render_special, bool& after_special,
                             std::string& text) const {
  if (!is_valid(id)) return;
  std::string_view bytes = impl_->bytes(id);
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
