#include "ridgeline/text/unigram.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "ridgeline/text/utf8.h"

namespace ridgeline {
namespace {

constexpr char32_t kSpaceMark = 0x2581;
constexpr std::string_view kSpaceMarkUtf8 = "\xE2\x96\x81";
// How much worse than the worst piece SentencePiece takes an unknown character to be.
constexpr double kMissingPenalty = 10.0;
// Bounds the table of Viterbi's algorithm, at 16 bytes a byte of text; a text without a
// place to cut is cut after so much anyway.
constexpr std::size_t kMaxPartBytes = std::size_t{1} << 24;

std::vector<ByteTrie::Entry> trie_entries(std::span<const UnigramModel::Piece> pieces) {
  std::vector<ByteTrie::Entry> entries;
  entries.reserve(pieces.size());
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (utf8_valid_prefix_bytes(pieces[i].text) != pieces[i].text.size()) continue;
    entries.push_back({pieces[i].text, static_cast<std::int32_t>(i)});
  }
  return entries;
}

}  // namespace

UnigramModel::ByteIds UnigramModel::no_byte_ids() {
  ByteIds ids;
  ids.fill(kNoToken);
  return ids;
}

UnigramModel::UnigramModel(std::span<const Piece> pieces, const Options& options)
    : trie_(trie_entries(pieces)), options_(options) {
  double worst = pieces.empty() ? 0 : std::numeric_limits<double>::max();
  for (const Piece& piece : pieces) {
    worst = std::min(worst, piece.score);
    pieces_.push_back({piece.score, piece.id});
  }
  missing_score_ = worst - kMissingPenalty;
}

void UnigramModel::append_ids(std::string_view text, std::vector<TokenId>& ids) const {
  constexpr auto kUnreached = ~std::uint32_t{0};
  constexpr std::int32_t kMissing = -1;
  // The best way to cut the text up to a place: its score, and its last piece.
  struct Best {
    double score = 0;
    std::uint32_t begin = kUnreached;
    std::int32_t piece = kMissing;
  };
  std::vector<Best> best(text.size() + 1);
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const double score = best[at].score;
    const auto reach = [&best, at](std::size_t length, double candidate, std::int32_t piece) {
      Best& end = best[at + length];
      if (end.begin != kUnreached && !(candidate > end.score)) return;
      end = {candidate, static_cast<std::uint32_t>(at), piece};
    };
    const std::size_t character_bytes = utf8_step(rest).length_bytes;
    bool is_missing = true;
    trie_.for_each_prefix(rest, [&](std::size_t length, std::int32_t piece) {
      reach(length, score + pieces_[static_cast<std::size_t>(piece)].score, piece);
      if (length == character_bytes) is_missing = false;
    });
    if (is_missing) reach(character_bytes, score + missing_score_, kMissing);
    at += character_bytes;
  }

  std::vector<Best>& path = best;  // overwritten from its end, which is read first
  std::size_t first = best.size();
  for (std::size_t end = text.size(); end > 0;) {
    const Best last = best[end];
    end = last.begin;
    path[--first] = last;
  }
  for (std::size_t i = first; i < path.size();) {
    const std::size_t begin = path[i].begin;
    if (path[i].piece != kMissing) {
      ids.push_back(pieces_[static_cast<std::size_t>(path[i++].piece)].id);
      continue;
    }
    while (i < path.size() && path[i].piece == kMissing) ++i;
    const std::size_t end = i < path.size() ? path[i].begin : text.size();
    append_missing(text.substr(begin, end - begin), ids);
  }
}

void UnigramModel::append_missing(std::string_view characters, std::vector<TokenId>& ids) const {
  const auto byte_id = [this](char byte) {
    return options_.byte_ids[static_cast<unsigned char>(byte)];
  };
  const auto has_id = [&](char byte) { return byte_id(byte) != kNoToken; };
  if (std::all_of(characters.begin(), characters.end(), has_id)) {
    for (const char byte : characters) ids.push_back(byte_id(byte));
  } else if (options_.unknown != kNoToken) {
    ids.push_back(options_.unknown);
  }
}

Result<std::unique_ptr<Unigram>> Unigram::create(const VocabularyData& data) {
  using Type = VocabularyData::TokenType;
  RIDGELINE_TRY(SentencePieceNormalizer normalizer, make_sentencepiece_normalizer(data));

  UnigramModel::Options options;
  options.unknown = data.unknown.value_or(kNoToken);
  // SentencePiece's own start is the least positive float, so that scores, which are
  // negative, mostly do not matter.
  double best_score = std::numeric_limits<float>::min();
  for (std::size_t i = 0; i < data.tokens.size(); ++i) {
    if (data.type(static_cast<TokenId>(i)) == Type::kNormal) {
      best_score = std::max(best_score, static_cast<double>(data.scores[i]));
    }
  }
  std::vector<UnigramModel::Piece> pieces;
  for (std::size_t i = 0; i < data.tokens.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const std::string_view text = data.tokens[i];
    const Type type = data.type(id);
    if (const auto byte = byte_token_value(data, id)) {
      TokenId& byte_id = options.byte_ids[*byte];
      if (byte_id == kNoToken) byte_id = id;
    } else if (type == Type::kNormal || type == Type::kUndefined) {
      pieces.push_back({text, id, data.scores[i]});
    } else if (type == Type::kUserDefined) {
      // Better than any piece; SentencePiece's formula.
      pieces.push_back({text, id, static_cast<double>(text.size()) * best_score - 0.1});
    }
  }
  auto unigram = std::unique_ptr<Unigram>(new Unigram(std::move(normalizer), pieces, options));
  // A token of another type may also come out of plain text.
  if (data.unknown && data.type(*data.unknown) == Type::kUnknown) unigram->unknown_ = *data.unknown;
  return unigram;
}

Unigram::Unigram(SentencePieceNormalizer normalizer, const std::vector<UnigramModel::Piece>& pieces,
                 const UnigramModel::Options& options)
    : normalizer_(std::move(normalizer)), model_(pieces, options) {
  for (const UnigramModel::Piece& piece : pieces) {
    char32_t before = kSpaceMark;
    for (std::size_t at = 0; at < piece.text.size();) {
      const Utf8Step step = utf8_step(piece.text.substr(at));
      if (at > 0 && step.code_point == kSpaceMark) before_space_mark_.insert(before, 1);
      before = step.code_point;
      at += step.length_bytes;
    }
  }
}

std::size_t Unigram::part_end(std::string_view text) const {
  std::size_t end = 0;
  char32_t before = kSpaceMark;
  while (end < text.size()) {
    const std::string_view rest = text.substr(end);
    const bool is_mark = rest.starts_with(kSpaceMarkUtf8);
    if (end > 0 && is_mark && !before_space_mark_.contains(before)) break;
    if (end >= kMaxPartBytes) break;
    const Utf8Step step = utf8_step(rest);
    before = step.code_point;
    end += step.length_bytes;
  }
  return end;
}

void Unigram::encode(std::string_view text, PieceCache& cache, std::vector<TokenId>& ids) const {
  const std::string normalized = normalizer_.normalize(text);
  const std::size_t first = ids.size();
  for (std::string_view rest = normalized; !rest.empty();) {
    const std::string_view part = rest.substr(0, part_end(rest));
    rest.remove_prefix(part.size());
    if (cache.append(part, ids)) continue;
    const std::size_t begin = ids.size();
    model_.append_ids(part, ids);
    cache.remember(part, begin, ids);
  }
  fuse_unknown(unknown_, first, ids);
}

}  // namespace ridgeline
