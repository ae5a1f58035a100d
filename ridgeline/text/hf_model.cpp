#include "ridgeline/text/hf_model.h"

#include <cstdio>
#include <utility>

#include "ridgeline/text/hf_bpe.h"
#include "ridgeline/text/hf_json.h"
#include "ridgeline/text/unigram.h"
#include "ridgeline/text/utf8.h"
#include "ridgeline/text/wordpiece.h"

namespace ridgeline {
namespace {

using Type = VocabularyData::TokenType;

// Viterbi's table takes some 16 bytes for each of the text: a word longer than this is
// cut. Real ones have a space before.
constexpr std::size_t kMaxUnigramWordBytes = std::size_t{1} << 24;

class HfUnigram final : public HfModel {
 public:
  explicit HfUnigram(UnigramModel model) : model_(std::move(model)) {}
  void encode(std::string_view word, PieceCache&, std::vector<TokenId>& ids) const override {
    while (!word.empty()) {
      std::size_t size = std::min(word.size(), kMaxUnigramWordBytes);
      while (size < word.size() && (static_cast<unsigned char>(word[size]) & 0xC0) == 0x80) --size;
      model_.append_ids(word.substr(0, size), ids);
      word.remove_prefix(size);
    }
  }

 private:
  UnigramModel model_;
};

class HfWordPiece final : public HfModel {
 public:
  explicit HfWordPiece(WordPieceModel model) : model_(std::move(model)) {}
  void encode(std::string_view word, PieceCache&, std::vector<TokenId>& ids) const override {
    model_.append_ids(word, ids);
  }

 private:
  WordPieceModel model_;
};

class HfWordLevel final : public HfModel {
 public:
  HfWordLevel(const TokenIndex& index, TokenId unknown) : index_(index), unknown_(unknown) {}
  void encode(std::string_view word, PieceCache&, std::vector<TokenId>& ids) const override {
    const TokenId id = index_.find(word);
    if (id != kNoToken) {
      ids.push_back(id);
    } else if (unknown_ != kNoToken) {
      ids.push_back(unknown_);
    }
  }

 private:
  const TokenIndex& index_;
  TokenId unknown_;
};

Result<std::unique_ptr<const HfModel>> make_unigram(const HfTokenizerJson& file, const HfPart& part,
                                                    const VocabularyData& data) {
  UnigramModel::Options options;
  if (data.unknown) options.unknown = *data.unknown;
  RIDGELINE_TRY(const bool byte_fallback, part.boolean("byte_fallback", false));
  std::vector<UnigramModel::Piece> pieces;
  pieces.reserve(file.vocab.size());
  // Of equal texts the library takes the last, the model the first.
  for (std::size_t i = file.vocab.size(); i-- > 0;) {
    const auto id = static_cast<TokenId>(i);
    const std::string& text = data.tokens[i];
    if (byte_fallback) {
      if (const auto byte = byte_of_token_text(text)) {
        TokenId& byte_id = options.byte_ids[*byte];
        if (byte_id == kNoToken) byte_id = id;
      }
    }
    // Control tokens never come out of plain text.
    if (data.type(id) != Type::kControl) pieces.push_back({text, id, file.vocab[i].score});
  }
  return std::make_unique<HfUnigram>(UnigramModel(pieces, options));
}

Result<std::unique_ptr<const HfModel>> make_word_piece(const HfTokenizerJson& file,
                                                       const HfPart& part,
                                                       const VocabularyData& data) {
  RIDGELINE_TRY(const std::string prefix, part.string("continuing_subword_prefix", "##"));
  RIDGELINE_TRY(const std::int64_t max_chars, part.integer("max_input_chars_per_word", 100));
  WordPieceModel::Options options;
  options.max_word_chars = static_cast<std::size_t>(max_chars);
  if (data.unknown) options.unknown = *data.unknown;
  std::vector<ByteTrie::Entry> starts, continuations;
  for (const auto& entry : file.vocab) {
    const auto id = static_cast<TokenId>(entry.id);
    if (data.type(id) == Type::kControl) continue;
    const std::string_view text = data.tokens[static_cast<std::size_t>(id)];
    starts.push_back({text, id});
    if (text.starts_with(prefix)) continuations.push_back({text.substr(prefix.size()), id});
  }
  return std::make_unique<HfWordPiece>(
      WordPieceModel(std::move(starts), std::move(continuations), options));
}

}  // namespace

std::optional<std::uint8_t> byte_of_token_text(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  int value = 0;
  for (const char c : text.substr(3, 2)) {
    int digit = 0;
    if (c >= '0' && c <= '9') {
      digit = c - '0';
    } else if (c >= 'A' && c <= 'F') {
      digit = c - 'A' + 10;
    } else if (c >= 'a' && c <= 'f') {
      digit = c - 'a' + 10;
    } else {
      return std::nullopt;
    }
    value = value * 16 + digit;
  }
  return static_cast<std::uint8_t>(value);
}

Result<HfModelType> hf_model_type(const HfTokenizerJson& file) {
  const HfPart part = HfPart(file.root, "").child("model");
  if (!part.value().is_object()) return fail("'model' is missing; expected an object");
  RIDGELINE_TRY(const std::string type, part.string("type", ""));
  if (type == "BPE") return HfModelType::kBpe;
  if (type == "Unigram") return HfModelType::kUnigram;
  if (type == "WordPiece") return HfModelType::kWordPiece;
  if (type == "WordLevel") return HfModelType::kWordLevel;
  if (!type.empty()) {
    return part.unsupported_type(type, "BPE, Unigram, WordPiece, WordLevel");
  }
  // Files of the library's first versions do not name it.
  if (!file.merges.empty() || part.find("fuse_unk") != nullptr) return HfModelType::kBpe;
  if (part.find("unk_id") != nullptr) return HfModelType::kUnigram;
  return part.find("max_input_chars_per_word") != nullptr ? HfModelType::kWordPiece
                                                          : HfModelType::kWordLevel;
}

Result<std::unique_ptr<const HfModel>> make_hf_model(const HfTokenizerJson& file, HfModelType type,
                                                     const VocabularyData& data,
                                                     const TokenIndex& index,
                                                     HfPreTokenizer& pre_tokenizer) {
  const HfPart part = HfPart(file.root, "").child("model");
  switch (type) {
    case HfModelType::kUnigram:
      return make_unigram(file, part, data);
    case HfModelType::kWordPiece:
      return make_word_piece(file, part, data);
    case HfModelType::kWordLevel:
      return std::make_unique<HfWordLevel>(index, data.unknown.value_or(kNoToken));
    default:
      return HfBpe::create(file, part, data, index, pre_tokenizer);
  }
}

}  // namespace ridgeline
