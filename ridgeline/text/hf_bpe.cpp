#include "ridgeline/text/hf_bpe.h"

#include <algorithm>
#include <utility>

#include "ridgeline/text/byte_level_map.h"
#include "ridgeline/text/hf_text.h"
#include "ridgeline/text/utf8.h"

namespace ridgeline {
namespace {

using Type = VocabularyData::TokenType;

// Symbols' places are 32 bits; a longer word is cut.
constexpr std::size_t kMaxWordBytes = std::size_t{1} << 30;
// Shorter words are not worth looking for places to cut them.
constexpr std::size_t kMinCutBytes = 24;
constexpr std::size_t kMaxKeptSymbols = std::size_t{1} << 16;

bool is_one_character(std::string_view text) {
  return !text.empty() && utf8_step(text).length_bytes == text.size();
}

}  // namespace

Result<std::unique_ptr<const HfModel>> HfBpe::create(const HfTokenizerJson& file,
                                                     const HfPart& part, const VocabularyData& data,
                                                     const TokenIndex& index,
                                                     HfPreTokenizer& pre_tokenizer) {
  auto bpe = std::unique_ptr<HfBpe>(new HfBpe(file, data, index));
  RIDGELINE_TRY_STATUS(bpe->read_options(part));
  RIDGELINE_TRY_STATUS(bpe->read_merges(file));
  if (pre_tokenizer.ends_with_byte_map() && bpe->take_bytes(file)) {
    pre_tokenizer.remove_byte_map();
  } else {
    bpe->read_characters(file);
    bpe->read_joins(file);
  }
  return bpe;
}

HfBpe::HfBpe(const HfTokenizerJson& file, const VocabularyData& data, const TokenIndex& index)
    : index_(index), merges_(file.merges.size()), unknown_(data.unknown.value_or(kNoToken)) {
  byte_ids_.fill(kNoToken);
  for (std::size_t id = 0; id < data.tokens.size(); ++id) {
    if (data.type(static_cast<TokenId>(id)) == Type::kControl) control_ids_.insert(id, 0);
  }
}

Status HfBpe::read_options(const HfPart& part) {
  const nlohmann::json* dropout = part.find("dropout");
  if (dropout != nullptr && !(dropout->is_number() && dropout->get<double>() == 0)) {
    return fail("'model.dropout' is set, which makes tokens depend on chance; expected none");
  }
  RIDGELINE_TRY(fuses_unknown_, part.boolean("fuse_unk", false));
  RIDGELINE_TRY(byte_fallback_, part.boolean("byte_fallback", false));
  RIDGELINE_TRY(ignores_merges_, part.boolean("ignore_merges", false));
  RIDGELINE_TRY(prefix_, part.string("continuing_subword_prefix", ""));
  RIDGELINE_TRY(suffix_, part.string("end_of_word_suffix", ""));
  for (int byte = 0; byte_fallback_ && byte < 256; ++byte) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    const std::string text = {'<',
                              '0',
                              'x',
                              kDigits[static_cast<std::size_t>(byte / 16)],
                              kDigits[static_cast<std::size_t>(byte % 16)],
                              '>'};
    byte_ids_[static_cast<std::size_t>(byte)] = index_.find(text);
  }
  return {};
}

Status HfBpe::read_merges(const HfTokenizerJson& file) {
  constexpr std::size_t kBlock = TokenIndex::kManyMax / 3;
  // From the last: of merges of the same pair the library takes that, the table the first
  // that it is given.
  std::size_t end = file.merges.size(), end_bytes = file.merge_texts.size();
  while (end > 0) {
    const std::size_t first = end - std::min(kBlock, end);
    std::size_t begin_bytes = end_bytes;
    for (std::size_t i = first; i < end; ++i) {
      begin_bytes -= file.merges[i].left_bytes + file.merges[i].right_bytes;
    }
    const std::string_view text =
        std::string_view(file.merge_texts).substr(begin_bytes, end_bytes - begin_bytes);
    RIDGELINE_TRY_STATUS(read_merges(file, first, end - first, text));
    end = first;
    end_bytes = begin_bytes;
  }
  return {};
}

Status HfBpe::read_merges(const HfTokenizerJson& file, std::size_t first, std::size_t count,
                          std::string_view text) {
  std::array<std::string_view, TokenIndex::kManyMax> texts;  // left, right, joined of each
  std::array<std::string, TokenIndex::kManyMax / 3> without_prefix;
  const auto wrong = [&](std::size_t i, const std::string& expected) {
    return fail("merge " + std::to_string(first + i) + " of the model is " +
                ridgeline::quoted(texts[3 * i]) + " and " + ridgeline::quoted(texts[3 * i + 1]) +
                "; expected " + expected);
  };
  for (std::size_t i = 0; i < count; ++i) {
    const auto& merge = file.merges[first + i];
    texts[3 * i] = text.substr(0, merge.left_bytes);
    texts[3 * i + 1] = text.substr(merge.left_bytes, merge.right_bytes);
    texts[3 * i + 2] = text.substr(0, merge.left_bytes + merge.right_bytes);
    text.remove_prefix(texts[3 * i + 2].size());
    if (prefix_.empty()) continue;
    if (!texts[3 * i + 1].starts_with(prefix_)) {
      return wrong(i, "a right part that begins with " + ridgeline::quoted(prefix_));
    }
    without_prefix[i] = std::string(texts[3 * i]).append(texts[3 * i + 1].substr(prefix_.size()));
    texts[3 * i + 2] = without_prefix[i];
  }
  std::array<TokenId, TokenIndex::kManyMax> ids;
  index_.find_many(std::span<const std::string_view>(texts).first(3 * count), ids.data());
  for (std::size_t i = count; i-- > 0;) {
    const TokenId left = ids[3 * i], right = ids[3 * i + 1], joined = ids[3 * i + 2];
    if (left == kNoToken) return wrong(i, "a token for the left part");
    if (right == kNoToken) return wrong(i, "a token for the right part");
    if (joined == kNoToken) return wrong(i, "a token for both parts together");
    if (is_control(joined)) continue;
    merges_.insert(left, right, {static_cast<MergeTable::Rank>(first + i), joined});
  }
  return {};
}

// Whether each byte is a token, as the byte-level map writes it, so that words can be
// given as they are.
bool HfBpe::take_bytes(const HfTokenizerJson& file) {
  if (!prefix_.empty() || !suffix_.empty() || byte_fallback_) return false;
  std::array<TokenId, 256> ids;
  for (int byte = 0; byte < 256; ++byte) {
    std::string text;
    append_utf8(byte_level_symbol(static_cast<std::uint8_t>(byte)), text);
    const TokenId id = index_.find(text);
    if (id == kNoToken || is_control(id)) return false;
    ids[static_cast<std::size_t>(byte)] = id;
  }
  byte_ids_ = ids;
  takes_bytes_ = true;
  if (!ignores_merges_) return true;
  word_texts_.resize(file.vocab.size());
  words_.emplace(file.vocab.size());
  for (std::size_t i = 0; i < file.vocab.size(); ++i) {
    const auto id = static_cast<TokenId>(file.vocab[i].id);
    if (is_control(id)) continue;
    if (!append_byte_level_decoded(file.vocab[i].text, word_texts_[i])) continue;
    if (!word_texts_[i].empty()) words_->insert(word_texts_[i], id);
  }
  return true;
}

void HfBpe::read_characters(const HfTokenizerJson& file) {
  ascii_ids_.fill(kNoToken);
  for (const auto& entry : file.vocab) {
    const auto id = static_cast<TokenId>(entry.id);
    const std::string& text = entry.text;
    if (!is_one_character(text) || is_control(id)) continue;
    const char32_t c = utf8_step(text).code_point;
    if (c < ascii_ids_.size()) {
      ascii_ids_[c] = id;
    } else {
      character_ids_.insert(c, static_cast<std::uint32_t>(id));
    }
  }
}

void HfBpe::read_joins(const HfTokenizerJson& file) {
  if (!prefix_.empty() || !suffix_.empty() || ignores_merges_) return;
  std::string_view rest = file.merge_texts;
  for (const auto& merge : file.merges) {
    const std::string_view left = rest.substr(0, merge.left_bytes);
    const std::string_view right = rest.substr(left.size(), merge.right_bytes);
    rest.remove_prefix(left.size() + right.size());
    // Such tokens' texts are not what they stand for.
    for (const std::string_view part : {left, right}) {
      if ((byte_fallback_ && byte_of_token_text(part)) ||
          (unknown_ != kNoToken && index_.find(part) == unknown_)) {
        return;
      }
    }
    if (left.empty() || right.empty()) return;
    // Both parts are characters, or results of other merges: only the seam is new.
    std::size_t last = left.size() - 1;
    while (last > 0 && (static_cast<unsigned char>(left[last]) & 0xC0) == 0x80) --last;
    const char32_t a = utf8_step(left.substr(last)).code_point;
    const char32_t b = utf8_step(right).code_point;
    if (a < 128 && b < 128) {
      ascii_joined_[a].set(b);
    } else {
      joined_.insert((std::uint64_t{a} << 32) | b, 1);
    }
  }
  cuts_ = true;
}

bool HfBpe::is_joined(char32_t left, char32_t right) const {
  if (left < 128 && right < 128) return ascii_joined_[left][right];
  return joined_.contains((std::uint64_t{left} << 32) | right);
}

TokenId HfBpe::character_id(char32_t c, std::string_view bytes, bool is_first, bool is_last) const {
  if ((is_first || prefix_.empty()) && (!is_last || suffix_.empty())) {
    if (c < ascii_ids_.size()) return ascii_ids_[c];
    return static_cast<TokenId>(character_ids_.find(c, static_cast<std::uint32_t>(kNoToken)));
  }
  std::string text = is_first ? "" : prefix_;
  text.append(bytes).append(is_last ? suffix_ : "");
  const TokenId id = index_.find(text);
  return id != kNoToken && is_control(id) ? kNoToken : id;
}

void HfBpe::encode(std::string_view word, PieceCache& cache, std::vector<TokenId>& ids) const {
  if (takes_bytes_ || word.size() < kMinCutBytes || (!cuts_ && word.size() < kMaxWordBytes)) {
    return encode_word(word, ids);
  }
  // A character that is no token stays with its neighbours, since runs of them may
  // become one token.
  struct Character {
    char32_t code_point;
    bool is_known;
  };
  std::size_t begin = 0, at = 0;
  Character left{};
  const auto encode_part = [&](std::size_t end) {
    const std::string_view part = word.substr(begin, end - begin);
    begin = end;
    if (part.empty() || cache.append(part, ids)) return;
    const std::size_t first_id = ids.size();
    encode_word(part, ids);
    cache.remember(part, first_id, ids);
  };
  for_each_character(word, [&](char32_t c, std::string_view bytes) {
    const Character right = {c, character_id(c, bytes, true, false) != kNoToken};
    const bool can_cut = cuts_ && left.is_known && right.is_known;
    if ((at > 0 && can_cut && !is_joined(left.code_point, c)) || at - begin >= kMaxWordBytes) {
      encode_part(at);
    }
    left = right;
    at += bytes.size();
  });
  encode_part(word.size());
}

bool HfBpe::encode_bytes(std::string_view bytes, std::vector<TokenId>& ids) const {
  if (takes_bytes_) {
    encode_word(bytes, ids);
    return true;
  }
  const auto id = [this](char byte) { return byte_ids_[static_cast<unsigned char>(byte)]; };
  if (!std::all_of(bytes.begin(), bytes.end(), [&](char b) { return id(b) != kNoToken; })) {
    return false;
  }
  for (const char byte : bytes) ids.push_back(id(byte));
  return true;
}

void HfBpe::merge_and_append(std::vector<Symbol>& symbols, std::vector<TokenId>& ids) const {
  merges_.apply(symbols);
  for (const Symbol& symbol : symbols) ids.push_back(symbol.id);
  // It outlives this call, which one long text should not make dear.
  if (symbols.capacity() > kMaxKeptSymbols) symbols = std::vector<Symbol>();
}

void HfBpe::encode_word(std::string_view word, std::vector<TokenId>& ids) const {
  if (ignores_merges_) {
    const TokenId id = takes_bytes_ ? words_->find(word) : index_.find(word);
    if (id != kNoToken && !is_control(id)) {
      ids.push_back(id);
      return;
    }
  }
  thread_local std::vector<Symbol> symbols;
  symbols.clear();
  const auto add = [](TokenId id) {
    symbols.push_back({id, static_cast<std::uint32_t>(symbols.size())});
  };
  if (takes_bytes_) {
    for (; !word.empty(); word.remove_prefix(std::min(word.size(), kMaxWordBytes))) {
      symbols.clear();
      for (const char c : word.substr(0, kMaxWordBytes)) {
        add(byte_ids_[static_cast<unsigned char>(c)]);
      }
      merge_and_append(symbols, ids);
    }
    return;
  }
  // An unknown token waits for the next character that is known, as the library has it:
  // bytes that stand for a character do not end the wait.
  bool unknown_waits = false;
  std::size_t at = 0;
  for_each_character(word, [&](char32_t c, std::string_view bytes) {
    const bool is_first = at == 0;
    at += bytes.size();
    const bool is_last = at == word.size();
    const TokenId id = character_id(c, bytes, is_first, is_last);
    if (id != kNoToken) {
      if (unknown_waits) add(unknown_);
      unknown_waits = false;
      add(id);
      return;
    }
    if (byte_fallback_) {
      const std::string text =
          (is_first ? "" : prefix_) + std::string(bytes) + (is_last ? suffix_ : "");
      const auto byte_id = [this](char b) { return byte_ids_[static_cast<unsigned char>(b)]; };
      if (std::all_of(text.begin(), text.end(), [&](char b) { return byte_id(b) != kNoToken; })) {
        for (const char b : text) add(byte_id(b));
        return;
      }
    }
    if (unknown_ == kNoToken) return;
    if (unknown_waits && !fuses_unknown_) add(unknown_);
    unknown_waits = true;
  });
  if (unknown_waits) add(unknown_);
  merge_and_append(symbols, ids);
}

}  // namespace ridgeline
