#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "tests/text/small_vocabularies.h"

namespace ridgeline::testing {
namespace {

void expect_error(VocabularyData data, const std::string& part) {
  const auto tokenizer = Tokenizer::create(std::move(data));
  ASSERT_FALSE(tokenizer) << "expected an error with: " << part;
  EXPECT_NE(tokenizer.error().message.find(part), std::string::npos) << tokenizer.error().message;
}

TEST(BadVocabulary, NoTokensOrArraysOfUnequalLength) {
  expect_error({}, "no tokens");
  VocabularyData data = small_sentencepiece();
  data.scores.pop_back();
  expect_error(data, "273 scores for 274 tokens");
  data = small_sentencepiece();
  data.types.push_back(Type::kNormal);
  expect_error(data, "275 token types for 274 tokens");
  data = small_sentencepiece();
  data.scores[270] = std::numeric_limits<float>::quiet_NaN();
  expect_error(data, "score of token 270, \"a\"");
}

TEST(BadVocabulary, IdsOutOfRange) {
  for (const auto field : {&VocabularyData::bos, &VocabularyData::eos, &VocabularyData::unknown,
                           &VocabularyData::padding, &VocabularyData::eot, &VocabularyData::eom}) {
    VocabularyData data = small_sentencepiece();
    data.*field = 274;
    expect_error(data, "token is 274; expected less than");
    data.*field = -1;  // none
    EXPECT_TRUE(Tokenizer::create(data));
  }
}

TEST(BadVocabulary, BosOrEosWantedButNotNamed) {
  VocabularyData data = small_byte_level();
  data.add_bos = true;
  expect_error(data, "wants a bos token");
  data.add_bos = false;
  data.add_eos = true;
  data.eos.reset();
  expect_error(data, "wants an eos token");
}

TEST(BadVocabulary, Merges) {
  const auto with_merge = [](const std::string& merge) {
    VocabularyData data = small_byte_level();
    data.merges.push_back(merge);
    return data;
  };
  expect_error(with_merge("xy"), "merge 5 of the vocabulary is \"xy\"; expected two tokens");
  expect_error(with_merge(""), "expected two tokens");
  expect_error(with_merge(" "), "expected two tokens");
  expect_error(with_merge("x "), "expected two tokens");
  expect_error(with_merge("zz e"), "a token for the left part");
  expect_error(with_merge("e z\xC3z"), "\"e z\\xc3z\"; expected a token for the right part");
  expect_error(with_merge("e e"), "a token for both parts together");
  expect_error(with_merge(std::string(1000, 'q')), "\"...");
}

TEST(BadVocabulary, UnknownPreTokenizer) {
  expect_error(small_byte_level("gpt-17"), "\"gpt-17\"; expected one of default, falcon");
}

// Odd, but each has a meaning.
TEST(BadVocabulary, DuplicatesEmptyTextsAndStrangeTypesAreDefined) {
  VocabularyData data = small_sentencepiece();
  const TokenId duplicate = add_token(data, "\u2581the", Type::kNormal, 100);
  const TokenId empty = add_token(data, "", Type::kUserDefined);
  const TokenId strange = add_token(data, "in", static_cast<Type>(77), 5);
  add_token(data, "\xE2\x96", Type::kNormal, 50);  // not UTF-8
  const TokenId odd_byte = add_token(data, "<0xZZ>", Type::kByte);
  const auto tokenizer = make_tokenizer(data);
  EXPECT_EQ(tokenizer->find(""), std::nullopt);
  EXPECT_LT(*tokenizer->find("\u2581the"), duplicate);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("the in\u2581 \xE2\x96")), "the in  \xE2\x96");
  EXPECT_EQ(tokenizer->piece(duplicate), " the");
  EXPECT_EQ(tokenizer->piece(empty), "");
  EXPECT_EQ(tokenizer->piece(strange), "in");
  EXPECT_EQ(tokenizer->piece(odd_byte), "<0xZZ>");
  EXPECT_EQ(tokenizer->piece(-1), "");
  EXPECT_EQ(tokenizer->piece(std::numeric_limits<TokenId>::max()), "");
}

TEST(BadVocabulary, OneTokenIsEnough) {
  for (const auto kind :
       {VocabularyData::Kind::kSentencePieceBpe, VocabularyData::Kind::kByteLevelBpe}) {
    VocabularyData data;
    data.kind = kind;
    data.tokens = {"a"};
    data.scores = {0};
    const auto tokenizer = make_tokenizer(data);
    EXPECT_EQ(tokenizer->decode(tokenizer->encode("b a\xFF")), "a");
  }
}

}  // namespace
}  // namespace ridgeline::testing
