#include "ridgeline/text/byte_level_bpe.h"

#include <utility>

#include "ridgeline/text/byte_level_map.h"
#include "ridgeline/text/utf8.h"

namespace ridgeline {
namespace {

// Symbols' places are 32 bits; no word of a text has gigabytes, but a text without a
// place to cut may, and is then cut here.
constexpr std::size_t kMaxWordBytes = std::size_t{1} << 30;

bool is_byte_level_text(VocabularyData::TokenType type) {
  using Type = VocabularyData::TokenType;
  return type != Type::kControl && type != Type::kUnknown && type != Type::kUserDefined;
}

}  // namespace

struct ByteLevelBpe::Session {
  PieceCache& cache;
  std::vector<TokenId>& ids;
  PreTokenizer::Scratch scratch;
  std::vector<Symbol> symbols;
};

Result<std::unique_ptr<ByteLevelBpe>> ByteLevelBpe::create(const VocabularyData& data,
                                                           const TokenIndex& index) {
  RIDGELINE_TRY(PreTokenizer pre_tokenizer, PreTokenizer::create(data.pre_tokenizer));
  auto bpe = std::unique_ptr<ByteLevelBpe>(new ByteLevelBpe(data, index, std::move(pre_tokenizer)));
  RIDGELINE_TRY_STATUS(bpe->read_merges(data, index));
  return bpe;
}

ByteLevelBpe::ByteLevelBpe(const VocabularyData& data, const TokenIndex& index,
                           PreTokenizer pre_tokenizer)
    : pre_tokenizer_(std::move(pre_tokenizer)), merges_(data.merges.size()) {
  for (int byte = 0; byte < 256; ++byte) {
    std::string text;
    append_utf8(byte_level_symbol(static_cast<std::uint8_t>(byte)), text);
    const TokenId id = index.find(text);
    // A user-defined token "õ" means the letter, not the byte that is written so.
    const bool is_byte = id != kNoToken && is_byte_level_text(data.type(id));
    byte_ids_[static_cast<std::size_t>(byte)] = is_byte ? id : kNoSymbol;
  }
  if (data.unknown) {
    missing_byte_ids_.push_back(*data.unknown);
  } else {
    for (const char byte : kReplacementUtf8) {
      const SymbolId id = byte_ids_[static_cast<unsigned char>(byte)];
      if (id != kNoSymbol) missing_byte_ids_.push_back(id);
    }
  }
  if (pre_tokenizer_.row().ignore_merges) index_words(data);
}

void ByteLevelBpe::index_words(const VocabularyData& data) {
  word_texts_.resize(data.tokens.size());
  words_.emplace(data.tokens.size());
  for (std::size_t i = 0; i < data.tokens.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (!is_byte_level_text(data.type(id)) || data.tokens[i].empty()) continue;
    std::optional<std::string> bytes = byte_level_decode(data.tokens[i]);
    if (!bytes) continue;
    word_texts_[i] = *std::move(bytes);
    words_->insert(word_texts_[i], id);
  }
}

Status ByteLevelBpe::read_merges(const VocabularyData& data, const TokenIndex& index) {
  constexpr std::size_t kBlock = TokenIndex::kManyMax / 3;
  for (std::size_t first = 0; first < data.merges.size(); first += kBlock)
    RIDGELINE_TRY_STATUS(
        read_merges(data, index, first, std::min(kBlock, data.merges.size() - first)));
  return {};
}

Status ByteLevelBpe::read_merges(const VocabularyData& data, const TokenIndex& index,
                                 std::size_t first, std::size_t count) {
  std::string all_joined;
  std::array<std::string_view, TokenIndex::kManyMax> texts;  // left, right, joined of each
  const auto wrong = [&](std::size_t i, const std::string& expected) {
    return fail("merge " + std::to_string(first + i) + " of the vocabulary is " +
                quoted(data.merges[first + i]) + "; expected " + expected);
  };
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view merge = data.merges[first + i];
    // The left part may begin with a space itself in vocabularies that are not written
    // in the byte-level map.
    const std::size_t space = merge.find(' ', 1);
    if (merge.empty() || space == std::string_view::npos || space + 1 == merge.size())
      return wrong(i, "two tokens with a space between them");
    texts[3 * i] = merge.substr(0, space);
    texts[3 * i + 1] = merge.substr(space + 1);
    all_joined.append(texts[3 * i]).append(texts[3 * i + 1]);
  }
  std::string_view rest = all_joined;
  for (std::size_t i = 0; i < count; ++i) {
    texts[3 * i + 2] = rest.substr(0, texts[3 * i].size() + texts[3 * i + 1].size());
    rest.remove_prefix(texts[3 * i + 2].size());
  }

  std::array<TokenId, TokenIndex::kManyMax> ids;
  index.find_many(std::span(texts).first(3 * count), ids.data());
  for (std::size_t i = 0; i < count; ++i) {
    const TokenId left = ids[3 * i], right = ids[3 * i + 1], joined = ids[3 * i + 2];
    if (left == kNoToken) return wrong(i, "a token for the left part");
    if (right == kNoToken) return wrong(i, "a token for the right part");
    if (joined == kNoToken) return wrong(i, "a token for both parts together");
    // Like SentencePiece's, control tokens never come out of plain text; user-defined
    // ones are taken out of it before.
    const auto is_plain = [&data](TokenId id) { return is_byte_level_text(data.type(id)); };
    if (!is_plain(left) || !is_plain(right) || !is_plain(joined)) continue;
    merges_.insert(left, right, {static_cast<MergeTable::Rank>(first + i), joined});
  }
  return {};
}

void ByteLevelBpe::encode(std::string_view text, PieceCache& cache,
                          std::vector<TokenId>& ids) const {
  Session session{cache, ids, {}, {}};
  while (!text.empty()) {
    const std::size_t num_valid = utf8_valid_prefix_bytes(text);
    if (num_valid > 0) split(text.substr(0, num_valid), 0, session);
    text.remove_prefix(num_valid);
    // Patterns speak of characters. What is none stays together, as bytes.
    const std::size_t num_invalid = utf8_invalid_prefix_bytes(text);
    if (num_invalid > 0) encode_word(text.substr(0, num_invalid), session);
    text.remove_prefix(num_invalid);
  }
}

void ByteLevelBpe::split(std::string_view text, int pattern, Session& session) const {
  PreTokenizer::Pieces pieces(pre_tokenizer_, pattern, text, session.scratch);
  std::string_view piece;
  const bool are_words = pattern + 1 == pre_tokenizer_.row().num_patterns_to_words;
  while (pieces.next(piece)) {
    if (are_words && session.cache.append(piece, session.ids)) continue;
    const std::size_t begin = session.ids.size();
    encode_piece(piece, pattern + 1, session);
    if (are_words) session.cache.remember(piece, begin, session.ids);
  }
}

void ByteLevelBpe::encode_piece(std::string_view piece, int next_pattern, Session& session) const {
  if (next_pattern < pre_tokenizer_.num_patterns()) {
    split(piece, next_pattern, session);
  } else {
    encode_word(piece, session);
  }
}

void ByteLevelBpe::encode_word(std::string_view word, Session& session) const {
  if (words_) {
    const TokenId id = words_->find(word);
    if (id != kNoToken) {
      session.ids.push_back(id);
      return;
    }
  }
  for (; !word.empty(); word.remove_prefix(std::min(word.size(), kMaxWordBytes))) {
    const std::string_view part = word.substr(0, kMaxWordBytes);
    session.symbols.resize(part.size());
    for (std::uint32_t i = 0; i < part.size(); ++i) {
      session.symbols[i] = {byte_ids_[static_cast<unsigned char>(part[i])], i};
    }
    merges_.apply(session.symbols);
    for (const Symbol& symbol : session.symbols) {
      if (symbol.id != kNoSymbol) {
        session.ids.push_back(symbol.id);
      } else {
        session.ids.insert(session.ids.end(), missing_byte_ids_.begin(), missing_byte_ids_.end());
      }
    }
  }
}

}  // namespace ridgeline
