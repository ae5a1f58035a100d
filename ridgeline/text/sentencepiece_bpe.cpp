#include "ridgeline/text/sentencepiece_bpe.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "ridgeline/text/utf8.h"

namespace ridgeline {
namespace {

constexpr char32_t kSpaceMark = 0x2581;
// Stands for bytes that are no character; beyond Unicode, so that no token has it.
constexpr char32_t kNoCharacter = 0x110000;
// Symbols' places are 32 bits; a longer text without a place to cut is cut anyway.
constexpr std::size_t kMaxPieceBytes = std::size_t{1} << 30;

struct Character {
  char32_t code_point;  // ' ' for U+2581
  std::size_t length_bytes;
};

Character first_character(std::string_view text) {
  const Utf8Step step = utf8_step(text);
  if (step.status != Utf8Step::Status::kCharacter) return {kNoCharacter, step.length_bytes};
  return {step.code_point == kSpaceMark ? U' ' : step.code_point, step.length_bytes};
}

// Whether merging may yield the token. Control and unknown tokens never come out of
// plain text, byte tokens come out of characters that are missing, and a text has no
// space left when it is merged.
bool is_mergeable(const VocabularyData& data, TokenId id) {
  using Type = VocabularyData::TokenType;
  const Type type = data.type(id);
  const std::string& text = data.tokens[static_cast<std::size_t>(id)];
  return type != Type::kControl && type != Type::kUnknown && !text.empty() &&
         !byte_token_value(data, id) && text.find(' ') == std::string::npos &&
         utf8_valid_prefix_bytes(text) == text.size();
}

constexpr std::uint32_t kNone = ~std::uint32_t{0};

// For each of the texts, which all differ, the longest other one that it begins with.
// In sorted order a text's prefixes form a stack.
std::vector<std::uint32_t> longest_prefixes(const std::vector<std::string_view>& texts) {
  std::vector<std::uint32_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&texts](std::uint32_t a, std::uint32_t b) { return texts[a] < texts[b]; });
  std::vector<std::uint32_t> longest(texts.size(), kNone);
  std::vector<std::uint32_t> stack;
  for (const std::uint32_t i : order) {
    while (!stack.empty() && !texts[i].starts_with(texts[stack.back()])) stack.pop_back();
    if (!stack.empty()) longest[i] = stack.back();
    stack.push_back(i);
  }
  return longest;
}

std::vector<std::uint32_t> longest_suffixes(const std::vector<std::string_view>& texts) {
  std::vector<std::string> reversed;
  reversed.reserve(texts.size());
  for (const std::string_view text : texts) reversed.emplace_back(text.rbegin(), text.rend());
  return longest_prefixes({reversed.begin(), reversed.end()});
}

// The best score has rank 0, equal scores have the same rank.
std::vector<MergeTable::Rank> ranks_of_scores(const std::vector<float>& scores) {
  std::vector<std::uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&scores](std::uint32_t a, std::uint32_t b) { return scores[a] > scores[b]; });
  std::vector<MergeTable::Rank> ranks(scores.size());
  MergeTable::Rank rank = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && scores[order[i]] != scores[order[i - 1]]) ++rank;
    ranks[order[i]] = rank;
  }
  return ranks;
}

}  // namespace

// A text that merging can start from or arrive at.
struct SentencePieceBpe::Part {
  std::string_view text;
  SymbolId id;
};

Result<std::unique_ptr<SentencePieceBpe>> SentencePieceBpe::create(const VocabularyData& data,
                                                                   const TokenIndex& index) {
  auto bpe = std::unique_ptr<SentencePieceBpe>(new SentencePieceBpe(data, index));
  RIDGELINE_TRY(SentencePieceNormalizer normalizer, make_sentencepiece_normalizer(data));
  if (!normalizer.charsmap().empty() || normalizer.options().remove_extra_whitespaces) {
    bpe->normalizer_ = std::move(normalizer);
  }
  return bpe;
}

SentencePieceBpe::SentencePieceBpe(const VocabularyData& data, const TokenIndex& index)
    : adds_space_prefix_(data.add_space_prefix.value_or(true)),
      num_tokens_(static_cast<SymbolId>(data.tokens.size())),
      merges_(data.tokens.size() * 2),
      missing_id_(data.unknown.value_or(kNoToken)) {
  ascii_symbols_.fill(kNoSymbol);
  byte_ids_.fill(kNoToken);
  std::vector<Part> parts;
  for (TokenId id = 0; id < num_tokens_; ++id) {
    const std::string_view text = data.tokens[static_cast<std::size_t>(id)];
    if (const auto byte = byte_token_value(data, id)) {
      TokenId& byte_id = byte_ids_[*byte];
      if (byte_id == kNoToken) byte_id = id;
    } else if (is_mergeable(data, id) && index.find(text) == id) {
      parts.push_back({text, id});
    }
  }
  read_characters(parts);
  read_merges(parts, data.scores);
  // A token of another type may also come out of plain text.
  if (data.unknown && data.type(*data.unknown) == VocabularyData::TokenType::kUnknown)
    unknown_ = *data.unknown;
  if (missing_id_ == kNoToken) {
    const SymbolId replacement = symbol(kReplacementCharacter);
    if (replacement < num_tokens_) missing_id_ = replacement;
  }
}

void SentencePieceBpe::read_characters(std::vector<Part>& parts) {
  const auto add_symbol = [this](char32_t character, SymbolId id) {
    if (character < ascii_symbols_.size()) {
      ascii_symbols_[character] = id;
    } else {
      symbols_.insert(character, static_cast<std::uint32_t>(id));
    }
  };
  for (const Part& part : parts) {
    const Character first = first_character(part.text);
    if (first.length_bytes == part.text.size()) add_symbol(first.code_point, part.id);
  }
  // Characters that are no tokens but parts of some get numbers above the vocabulary.
  SymbolId next_id = num_tokens_;
  const std::size_t num_tokens = parts.size();
  for (std::size_t i = 0; i < num_tokens; ++i) {
    char32_t left = kNoCharacter;
    for (std::string_view rest = parts[i].text; !rest.empty();) {
      const Character character = first_character(rest);
      if (symbol(character.code_point) == kNoSymbol) {
        add_symbol(character.code_point, next_id);
        parts.push_back({rest.substr(0, character.length_bytes), next_id++});
      }
      if (left < 128 && character.code_point < 128) {
        ascii_joined_[left].set(character.code_point);
      } else if (left != kNoCharacter) {
        joined_.insert((std::uint64_t{left} << 32) | character.code_point, 1);
      }
      left = character.code_point;
      rest.remove_prefix(character.length_bytes);
    }
  }
}

void SentencePieceBpe::read_merges(const std::vector<Part>& parts,
                                   const std::vector<float>& scores) {
  std::vector<std::string_view> texts;
  texts.reserve(parts.size());
  for (const Part& part : parts) texts.push_back(part.text);
  const std::vector<std::uint32_t> prefixes = longest_prefixes(texts);
  const std::vector<std::uint32_t> suffixes = longest_suffixes(texts);
  const std::vector<MergeTable::Rank> ranks = ranks_of_scores(scores);
  // A token's prefixes from the longest, its suffixes from the shortest: where the
  // lengths add up, the two meet.
  std::vector<std::uint32_t> shortening;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].id >= num_tokens_) continue;
    shortening.clear();
    for (std::uint32_t s = suffixes[i]; s != kNone; s = suffixes[s]) shortening.push_back(s);
    for (std::uint32_t p = prefixes[i]; p != kNone; p = prefixes[p]) {
      const std::size_t wanted = texts[i].size() - texts[p].size();
      while (!shortening.empty() && texts[shortening.back()].size() < wanted) {
        shortening.pop_back();
      }
      if (shortening.empty()) break;
      if (texts[shortening.back()].size() != wanted) continue;
      merges_.insert(parts[p].id, parts[shortening.back()].id,
                     {ranks[static_cast<std::size_t>(parts[i].id)], parts[i].id});
    }
  }
}

bool SentencePieceBpe::is_joined(char32_t left, char32_t right) const {
  if (left < 128 && right < 128) return ascii_joined_[left][right];
  return joined_.contains((std::uint64_t{left} << 32) | right);
}

SymbolId SentencePieceBpe::symbol(char32_t character) const {
  if (character < ascii_symbols_.size()) return ascii_symbols_[character];
  constexpr auto kAbsent = static_cast<std::uint32_t>(kNoSymbol);
  return static_cast<SymbolId>(symbols_.find(character, kAbsent));
}

void SentencePieceBpe::encode(std::string_view text, PieceCache& cache,
                              std::vector<TokenId>& ids) const {
  const std::size_t first = ids.size();
  if (normalizer_) {
    encode_normalized(normalizer_->normalize(text), false, cache, ids);
  } else {
    encode_normalized(text, adds_space_prefix_, cache, ids);
  }
  fuse_unknown(unknown_, first, ids);
}

void SentencePieceBpe::encode_normalized(std::string_view text, bool with_prefix_space,
                                         PieceCache& cache, std::vector<TokenId>& ids) const {
  std::vector<Symbol> symbols;
  if (with_prefix_space) {
    const bool joined = is_joined(U' ', first_character(text).code_point);
    const std::size_t end = joined ? piece_end(text) : 0;
    encode_piece(text.substr(0, end), true, symbols, ids);
    text.remove_prefix(end);
  }
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, piece_end(text));
    text.remove_prefix(piece.size());
    if (cache.append(piece, ids)) continue;
    const std::size_t begin = ids.size();
    encode_piece(piece, false, symbols, ids);
    cache.remember(piece, begin, ids);
  }
}

std::size_t SentencePieceBpe::piece_end(std::string_view text) const {
  Character left = first_character(text);
  std::size_t end = left.length_bytes;
  while (end < text.size() && end < kMaxPieceBytes) {
    const auto byte = static_cast<unsigned char>(text[end]);
    const Character right = byte < 128 ? Character{byte, 1} : first_character(text.substr(end));
    if (!is_joined(left.code_point, right.code_point)) break;
    left = right;
    end += right.length_bytes;
  }
  return end;
}

void SentencePieceBpe::encode_piece(std::string_view piece, bool with_prefix_space,
                                    std::vector<Symbol>& symbols, std::vector<TokenId>& ids) const {
  symbols.clear();
  if (with_prefix_space) symbols.push_back({symbol(U' '), 0});
  for (std::size_t at = 0; at < piece.size();) {
    const Character character = first_character(piece.substr(at));
    symbols.push_back({symbol(character.code_point), static_cast<std::uint32_t>(at)});
    at += character.length_bytes;
  }
  merges_.apply(symbols);
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    if (symbols[i].id != kNoSymbol && symbols[i].id < num_tokens_) {
      ids.push_back(symbols[i].id);
    } else if (with_prefix_space && i == 0) {
      append_missing_character(" ", ids);
    } else {
      const std::size_t end = i + 1 < symbols.size() ? symbols[i + 1].begin : piece.size();
      append_missing_character(piece.substr(symbols[i].begin, end - symbols[i].begin), ids);
    }
  }
}

void SentencePieceBpe::append_missing_character(std::string_view bytes,
                                                std::vector<TokenId>& ids) const {
  const auto byte_id = [this](char byte) { return byte_ids_[static_cast<unsigned char>(byte)]; };
  if (std::all_of(bytes.begin(), bytes.end(), [&](char b) { return byte_id(b) != kNoToken; })) {
    for (const char byte : bytes) ids.push_back(byte_id(byte));
  } else if (missing_id_ != kNoToken) {
    ids.push_back(missing_id_);
  }
}

}  // namespace ridgeline
