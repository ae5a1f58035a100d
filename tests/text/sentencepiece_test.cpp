#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/text/small_vocabularies.h"

namespace ridgeline::testing {
namespace {

constexpr Tokenizer::EncodeOptions kPlain = {.add_bos = false, .add_eos = false};

std::vector<std::string> texts_of(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::vector<std::string> texts;
  for (const TokenId id : ids)
    texts.push_back(tokenizer.data().tokens[static_cast<std::size_t>(id)]);
  return texts;
}

using Texts = std::vector<std::string>;

TEST(SentencePiece, PutsASpaceInFrontAndMergesByScore) {
  const auto tokenizer = make_tokenizer(small_sentencepiece());
  const auto encode = [&](std::string_view text) {
    return texts_of(*tokenizer, tokenizer->encode(text, kPlain));
  };
  EXPECT_EQ(encode("the"), (Texts{"\u2581the"}));
  EXPECT_EQ(encode("the the"), (Texts{"\u2581the", "\u2581the"}));
  EXPECT_EQ(encode(" the"), (Texts{"\u2581", "\u2581the"}));
  EXPECT_EQ(encode("   the"), (Texts{"\u2581\u2581", "\u2581", "\u2581the"}));
  EXPECT_EQ(encode("cathe"), (Texts{"\u2581", "c", "a", "t", "he"}));
  EXPECT_EQ(encode(""), Texts{});
  EXPECT_EQ(encode(" "), (Texts{"\u2581\u2581"}));
}

TEST(SentencePiece, WithoutSpacePrefixTheTextBeginsAsItIs) {
  VocabularyData data = small_sentencepiece();
  data.add_space_prefix = false;
  const auto tokenizer = make_tokenizer(std::move(data));
  EXPECT_EQ(texts_of(*tokenizer, tokenizer->encode("the", kPlain)), (Texts{"t", "he"}));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(" the", kPlain)), " the");
}

TEST(SentencePiece, AMissingCharacterBecomesItsBytesOrUnknown) {
  const auto with_bytes = make_tokenizer(small_sentencepiece(true));
  EXPECT_EQ(texts_of(*with_bytes, with_bytes->encode("e\u20ac\n", kPlain)),
            (Texts{"\u2581", "e", "<0xE2>", "<0x82>", "<0xAC>", "<0x0A>"}));
  EXPECT_EQ(texts_of(*with_bytes, with_bytes->encode("\xFF\xE4\xB8", kPlain)),
            (Texts{"\u2581", "<0xFF>", "<0xE4>", "<0xB8>"}));

  VocabularyData data = small_sentencepiece(false);
  const auto without = make_tokenizer(data);
  EXPECT_EQ(texts_of(*without, without->encode("e\u20ac\xFFt", kPlain)),
            (Texts{"\u2581", "e", "<unk>", "t"}));  // one for the run

  data.types[0] = Type::kUnused;
  data.unknown.reset();
  EXPECT_EQ(make_tokenizer(data)->encode("\u20ac", kPlain).size(), 1u);  // only the space
  const TokenId replacement = add_token(data, "\uFFFD", Type::kNormal);
  const auto with_replacement = make_tokenizer(data);
  EXPECT_EQ(with_replacement->encode("\u20ac", kPlain).back(), replacement);
}

TEST(SentencePiece, ControlTextsDoNotComeOutOfPlainText) {
  VocabularyData data = small_sentencepiece();
  for (const char* piece : {"<", "s", ">", "<s", "/", "</", "</s"})
    add_token(data, piece, Type::kNormal, 9);
  const auto tokenizer = make_tokenizer(std::move(data));
  for (const TokenId id : tokenizer->encode("<s></s>", kPlain)) {
    EXPECT_NE(id, *tokenizer->data().bos);
    EXPECT_NE(id, *tokenizer->data().eos);
  }
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("<s></s>", kPlain)), "<s></s>");
}

TEST(SentencePiece, IdsThatAreNotNamedAreFound) {
  VocabularyData data = small_sentencepiece();
  data.bos.reset();
  data.eos = -1;
  data.unknown.reset();
  const auto tokenizer = make_tokenizer(std::move(data));
  EXPECT_EQ(tokenizer->data().unknown, 0);
  EXPECT_EQ(tokenizer->data().bos, 1);
  EXPECT_EQ(tokenizer->data().eos, 2);
  EXPECT_TRUE(tokenizer->adds_bos());
  EXPECT_FALSE(tokenizer->adds_eos());
  EXPECT_EQ(tokenizer->encode("").front(), 1);
}

// The definition of the algorithm over the whole text, without cutting, without
// caching, on strings.
std::vector<TokenId> encode_by_definition(const VocabularyData& data, std::string_view text) {
  std::map<std::string, TokenId> mergeable;
  for (std::size_t i = 0; i < data.tokens.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (data.type(id) == Type::kNormal) mergeable.emplace(data.tokens[i], id);
  }
  Texts symbols = {"\u2581"};
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    symbols.emplace_back(text[0] == ' ' ? "\u2581" : text.substr(0, step.length_bytes));
    text.remove_prefix(step.length_bytes);
  }
  while (true) {
    std::size_t best = symbols.size();
    float best_score = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto found = mergeable.find(symbols[i] + symbols[i + 1]);
      if (found == mergeable.end()) continue;
      const float score = data.scores[static_cast<std::size_t>(found->second)];
      if (best == symbols.size() || score > best_score) {
        best = i;
        best_score = score;
      }
    }
    if (best == symbols.size()) break;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  std::vector<TokenId> ids;
  for (const std::string& symbol : symbols) {
    const auto found = mergeable.find(symbol);
    const TokenId id = found == mergeable.end() ? *data.unknown : found->second;
    if (id != *data.unknown || ids.empty() || ids.back() != id) ids.push_back(id);
  }
  return ids;
}

// Random vocabularies over few characters, so that tokens overlap in every way:
// characters that are no tokens themselves, spaces inside tokens, equal scores.
TEST(SentencePiece, CuttingAndCachingChangeNothing) {
  std::mt19937 random(11);
  const auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const Texts alphabet = {"a", "b", "\u2581", "\u00e9", "\u4e2d", "\U0001f999"};
  for (int round = 0; round < 300; ++round) {
    VocabularyData data;
    data.unknown = add_token(data, "<unk>", Type::kUnknown);
    for (std::size_t i = 0, n = 1 + below(60); i < n; ++i) {
      std::string text;
      for (std::size_t k = 0, length = 1 + below(5); k < length; ++k)
        text += alphabet[below(alphabet.size())];
      add_token(data, text, Type::kNormal, static_cast<float>(below(round % 2 == 0 ? 4 : 1000)));
    }
    const auto tokenizer = make_tokenizer(data);
    for (int i = 0; i < 6; ++i) {
      std::string text;
      for (std::size_t k = 0, length = 1 + below(150); k < length; ++k) {
        text += below(4) == 0 ? " " : alphabet[below(alphabet.size())];
      }
      ASSERT_EQ(tokenizer->encode(text, kPlain), encode_by_definition(data, text)) << text;
    }
  }
}

}  // namespace
}  // namespace ridgeline::testing
