#include "ridgeline/text/wordpiece.h"

#include <utility>

#include "ridgeline/text/utf8.h"

namespace ridgeline {
namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

BertNormalizerOptions normalizer_options(const VocabularyData& data) {
  BertNormalizerOptions options;
  options.lowercase = data.lowercase.value_or(true);
  options.strip_accents = data.strip_accents;
  return options;
}

WordPieceModel make_model(const VocabularyData& data) {
  using Type = VocabularyData::TokenType;
  std::vector<ByteTrie::Entry> word_starts, continuations;
  for (std::size_t i = 0; i < data.tokens.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const Type type = data.type(id);
    if (type == Type::kControl || type == Type::kUnknown) continue;
    const std::string_view text = data.tokens[i];
    if (text.starts_with(kSpaceMark)) {
      word_starts.push_back({text.substr(kSpaceMark.size()), id});
    } else {
      continuations.push_back({text, id});
    }
  }
  WordPieceModel::Options options;
  options.unknown = data.unknown.value_or(kNoToken);
  return {std::move(word_starts), std::move(continuations), options};
}

bool is_longer_than(std::string_view word, std::size_t max_chars) {
  if (word.size() <= max_chars) return false;
  std::size_t num_chars = 0;
  for (; !word.empty() && num_chars <= max_chars; ++num_chars) {
    word.remove_prefix(utf8_step(word).length_bytes);
  }
  return num_chars > max_chars;
}

}  // namespace

WordPieceModel::WordPieceModel(std::vector<ByteTrie::Entry> word_starts,
                               std::vector<ByteTrie::Entry> continuations, const Options& options)
    : word_starts_(std::move(word_starts)),
      continuations_(std::move(continuations)),
      options_(options) {}

void WordPieceModel::append_ids(std::string_view word, std::vector<TokenId>& ids) const {
  const std::size_t begin = ids.size();
  bool is_known = !is_longer_than(word, options_.max_word_chars);
  for (std::size_t at = 0; is_known && at < word.size();) {
    std::size_t longest = 0;
    TokenId id = kNoToken;
    (at == 0 ? word_starts_ : continuations_)
        .for_each_prefix(word.substr(at), [&](std::size_t length, std::int32_t value) {
          longest = length;
          id = value;
        });
    is_known = longest > 0;
    if (is_known) ids.push_back(id);
    at += longest;
  }
  if (is_known) return;
  ids.resize(begin);
  if (options_.unknown != kNoToken) ids.push_back(options_.unknown);
}

WordPiece::WordPiece(const VocabularyData& data)
    : normalizer_(normalizer_options(data)), model_(make_model(data)) {}

void WordPiece::encode(std::string_view text, PieceCache& cache, std::vector<TokenId>& ids) const {
  const std::string normalized = bert_normalize(text, normalizer_);
  BertWords words(normalized);
  for (std::string_view word; words.next(word);) {
    if (cache.append(word, ids)) continue;
    const std::size_t begin = ids.size();
    model_.append_ids(word, ids);
    cache.remember(word, begin, ids);
  }
}

}  // namespace ridgeline
