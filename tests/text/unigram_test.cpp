#include "ridgeline/text/unigram.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/text/small_vocabularies.h"

namespace ridgeline::testing {
namespace {

constexpr Tokenizer::EncodeOptions kPlain = {.add_bos = false, .add_eos = false};
using Texts = std::vector<std::string>;

Texts encode(const Tokenizer& tokenizer, std::string_view text) {
  Texts texts;
  for (const TokenId id : tokenizer.encode(text, kPlain))
    texts.push_back(tokenizer.data().tokens[static_cast<std::size_t>(id)]);
  return texts;
}

TEST(Unigram, TakesThePiecesOfTheGreatestSum) {
  VocabularyData data;
  data.kind = VocabularyData::Kind::kUnigram;
  data.unknown = add_token(data, "<unk>", Type::kUnknown);
  for (const auto& [text, score] : std::map<std::string, float>{
           {"\u2581", -2}, {"a", -3}, {"b", -3}, {"ab", -5}, {"abc", -9}, {"c", -4}, {"bc", -5}}) {
    add_token(data, text, Type::kNormal, score);
  }
  const auto tokenizer = make_tokenizer(data);
  EXPECT_EQ(encode(*tokenizer, "abc"), (Texts{"\u2581", "a", "bc"}));  // -8, others -9 and -10
  EXPECT_EQ(encode(*tokenizer, "ab"), (Texts{"\u2581", "ab"}));
  EXPECT_EQ(encode(*tokenizer, "axyb"), (Texts{"\u2581", "a", "<unk>", "b"}));
  EXPECT_EQ(encode(*tokenizer, ""), Texts{});
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("ab  c")), "ab  c");
}

TEST(Unigram, UnknownCharactersBecomeBytesOneUnknownOrNothing) {
  const auto with_bytes = make_tokenizer(small_unigram(true));
  EXPECT_EQ(encode(*with_bytes, "e\u20ac\xFF"),
            (Texts{"\u2581", "e", "<0xE2>", "<0x82>", "<0xAC>", "<0xFF>"}));
  VocabularyData data = small_unigram(false);
  EXPECT_EQ(encode(*make_tokenizer(data), "e\u20ac\u20ac \u20ac"),
            (Texts{"\u2581", "e", "<unk>", "\u2581", "<unk>"}));
  data.types[0] = Type::kUnused;
  data.unknown.reset();
  EXPECT_EQ(encode(*make_tokenizer(data), "e\u20ac"), (Texts{"\u2581", "e"}));
}

// By trying all segmentations, of texts and vocabularies in which pieces overlap in
// every way. Scores are eighths, so that sums are exact and many are equal.
TEST(Unigram, NoOtherSegmentationIsBetterAndCuttingChangesNothing) {
  std::mt19937 random(5);
  const auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const Texts alphabet = {"a", "b", "\u2581", "\u00e9", "\U0001f999"};
  for (int round = 0; round < 200; ++round) {
    VocabularyData data;
    data.kind = VocabularyData::Kind::kUnigram;
    data.add_space_prefix = false;
    data.unknown = add_token(data, "<unk>", Type::kUnknown);
    std::map<std::string, float> scores;
    float worst = 0;
    for (std::size_t i = 0, n = 3 + below(40); i < n; ++i) {
      std::string text;
      for (std::size_t k = 0, length = 1 + below(4); k < length; ++k)
        text += alphabet[below(alphabet.size())];
      const float score = -static_cast<float>(below(80)) / 8;
      if (!scores.emplace(text, score).second) continue;
      add_token(data, text, Type::kNormal, score);
      worst = std::min(worst, score);
    }
    const auto tokenizer = make_tokenizer(data);
    for (int i = 0; i < 10; ++i) {
      std::string text;
      for (std::size_t k = 0, length = 1 + below(60); k < length; ++k)
        text += alphabet[below(alphabet.size())];
      // The best sum of what begins at a place, from the end.
      std::vector<double> best(text.size() + 1, -1e9);
      best[text.size()] = 0;
      for (std::size_t at = text.size(); at-- > 0;) {
        const Utf8Step step = utf8_step(std::string_view(text).substr(at));
        if (step.status != Utf8Step::Status::kCharacter) continue;
        for (std::size_t length = 1; at + length <= text.size(); ++length) {
          const auto found = scores.find(text.substr(at, length));
          if (found != scores.end())
            best[at] = std::max(best[at], found->second + best[at + length]);
        }
        if (!scores.contains(text.substr(at, step.length_bytes)))
          best[at] = std::max(best[at], worst - 10.0 + best[at + step.length_bytes]);
      }
      std::string joined;
      double sum = 0;
      bool has_unknown = false;
      for (const std::string& piece : encode(*tokenizer, text)) {
        has_unknown |= piece == "<unk>";
        joined += piece;
        sum += has_unknown ? 0 : scores.at(piece);
      }
      if (has_unknown) continue;
      ASSERT_EQ(joined, text);
      ASSERT_EQ(sum, best[0]) << text;
    }
  }
}

TEST(Unigram, ALongTextWithoutAPlaceToCut) {
  VocabularyData data = small_unigram();
  add_token(data, "aaaa", Type::kNormal, -1);
  const auto tokenizer = make_tokenizer(std::move(data));
  const std::string text(1 << 20, 'a');
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
}

}  // namespace
}  // namespace ridgeline::testing
