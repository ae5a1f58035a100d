#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/text/small_vocabularies.h"

namespace ridgeline::testing {
namespace {

std::vector<std::string> encode(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> texts;
  for (const TokenId id : tokenizer.encode(text)) {
    texts.push_back(tokenizer.data().tokens[static_cast<std::size_t>(id)]);
  }
  return texts;
}

using Texts = std::vector<std::string>;

TEST(ByteLevel, MergesWithinWordsByRank) {
  const auto tokenizer = make_tokenizer(small_byte_level());
  EXPECT_EQ(encode(*tokenizer, "the the"), (Texts{"the", "\u0120the"}));
  EXPECT_EQ(encode(*tokenizer, "lll"), (Texts{"ll", "l"}));
  EXPECT_EQ(encode(*tokenizer, "\u00e9"), (Texts{"\u00c3", "\u00a9"}));
  EXPECT_EQ(encode(*tokenizer, ""), Texts{});
  EXPECT_FALSE(tokenizer->adds_bos());
}

TEST(ByteLevel, InvalidUtf8IsKeptByteForByte) {
  const auto tokenizer = make_tokenizer(small_byte_level());
  const std::string text("the\xFF\xFE the\xE4\xB8 \0\x80", 14);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  EXPECT_EQ(encode(*tokenizer, "the\xFFthe"), (Texts{"the", "\u00ff", "the"}));
}

TEST(ByteLevel, AByteThatIsNoTokenBecomesUnknownOrU_FFFD) {
  VocabularyData data = small_byte_level();
  data.tokens[0x80] = "[gone]";
  const auto tokenizer = make_tokenizer(data);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a\x80z")), "a\uFFFDz");
  data.unknown = add_token(data, "<unk>", Type::kUnknown);
  const auto with_unknown = make_tokenizer(data);
  EXPECT_EQ(with_unknown->encode("\x80"), (std::vector<TokenId>{*data.unknown}));
  data.unknown.reset();
  data.tokens[0xBF] = data.tokens[0xBD] = data.tokens[0xEF] = "";
  EXPECT_EQ(make_tokenizer(data)->encode("\x80"), std::vector<TokenId>{});
}

TEST(ByteLevel, AUserDefinedLetterIsNotTheByteThatIsWrittenSo) {
  VocabularyData data = small_byte_level();
  data.types[0xF5] = Type::kUserDefined;  // "õ", as in DeepSeek's vocabulary
  const auto tokenizer = make_tokenizer(data);
  EXPECT_EQ(tokenizer->encode("\u00f5"), (std::vector<TokenId>{0xF5}));
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{0xF5}), "\u00f5");
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("\xF5")), "\uFFFD");
}

TEST(ByteLevel, WholeWordsGoBeforeMergesOnlyWhereThePreTokenizerSaysSo) {
  VocabularyData data = small_byte_level("llama-bpe");
  const TokenId whole = add_token(data, "hello", Type::kNormal);  // no merge makes it
  const TokenId control = add_token(data, "then", Type::kControl);
  const auto llama = make_tokenizer(data);
  EXPECT_EQ(llama->encode("hello"), (std::vector<TokenId>{whole}));
  EXPECT_EQ(encode(*llama, "hellos"), (Texts{"he", "ll", "o", "s"}));
  EXPECT_EQ(encode(*llama, "then"), (Texts{"the", "n"}));
  EXPECT_EQ(llama->encode("then", {.parse_special = true}), (std::vector<TokenId>{control}));
  data.pre_tokenizer = "gpt-2";
  EXPECT_EQ(encode(*make_tokenizer(data), "hello"), (Texts{"he", "ll", "o"}));
}

TEST(ByteLevel, ControlTokensDoNotComeOutOfPlainText) {
  VocabularyData data = small_byte_level();
  data.types[258] = Type::kControl;
  ASSERT_EQ(data.tokens[258], "\u0120the");
  EXPECT_EQ(encode(*make_tokenizer(data), " the"), (Texts{"\u0120", "the"}));
}

TEST(ByteLevel, TextThatIsNotInTheByteMapIsItself) {
  VocabularyData data = small_byte_level();
  const TokenId raw = add_token(data, "a b", Type::kNormal);
  const auto tokenizer = make_tokenizer(data);
  EXPECT_EQ(tokenizer->piece(raw), "a b");
  EXPECT_EQ(tokenizer->piece(*tokenizer->find("\u0120the")), " the");
  EXPECT_EQ(tokenizer->find(" the"), std::nullopt);
}

}  // namespace
}  // namespace ridgeline::testing
