#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/text/small_vocabularies.h"

namespace ridgeline::testing {
namespace {

using Ids = std::vector<TokenId>;

bool is_whole(std::string_view text) { return utf8_valid_prefix_bytes(text) == text.size(); }

TEST(StreamingDetokenizer, HoldsBytesBackUntilTheCharacterIsWhole) {
  const auto tokenizer = make_tokenizer(small_byte_level());
  StreamingDetokenizer stream(*tokenizer);
  EXPECT_EQ(stream.push('a'), "a");
  EXPECT_EQ(stream.push(0xF0), "");
  EXPECT_EQ(stream.push(0x9F), "");
  EXPECT_EQ(stream.push(0xA6), "");
  EXPECT_EQ(stream.push(0x99), "\U0001f999");
  EXPECT_EQ(stream.finish(), "");
}

TEST(StreamingDetokenizer, InvalidBytesBecomeU_FFFDAsSoonAsThatIsCertain) {
  const auto tokenizer = make_tokenizer(small_byte_level());
  StreamingDetokenizer stream(*tokenizer);
  EXPECT_EQ(stream.push(0xFF), "\uFFFD");
  EXPECT_EQ(stream.push(0xE4), "");
  EXPECT_EQ(stream.push(0xB8), "");
  EXPECT_EQ(stream.push('x'), "\uFFFDx");
  EXPECT_EQ(stream.push(0xC3), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(StreamingDetokenizer, DropsThePrefixSpaceAtTheStartOnly) {
  const auto tokenizer = make_tokenizer(small_sentencepiece());
  const TokenId the = *tokenizer->find("\u2581the");
  StreamingDetokenizer stream(*tokenizer);
  EXPECT_EQ(stream.push(1), "");
  EXPECT_EQ(stream.push(the), "the");
  EXPECT_EQ(stream.push(the), " the");
  EXPECT_EQ(stream.push(1 << 20), "");  // no such token
  EXPECT_EQ(stream.finish(), "");

  StreamingDetokenizer behind_prompt(*tokenizer);
  behind_prompt.skip(Ids{1, the, *tokenizer->find("<0xE4>")});
  EXPECT_EQ(behind_prompt.push(the), " the");
  behind_prompt.skip(Ids{the, 2});
  EXPECT_EQ(behind_prompt.push(the), "the");
}

TEST(StreamingDetokenizer, SpecialTokensOnlyIfAskedFor) {
  const auto tokenizer = make_tokenizer(small_byte_level());
  const TokenId end = *tokenizer->data().eos;
  StreamingDetokenizer quiet(*tokenizer);
  EXPECT_EQ(quiet.push(end), "");
  StreamingDetokenizer loud(*tokenizer, true);
  EXPECT_EQ(loud.push(end), "<|end|>");
}

TEST(StreamingDetokenizer, GivesWholeCharactersAndInTheEndAllThatDecodeGives) {
  std::mt19937 random(3);
  const VocabularyData vocabularies[] = {small_sentencepiece(), small_unigram(),
                                         small_byte_level()};
  for (const VocabularyData& data : vocabularies) {
    const auto tokenizer = make_tokenizer(data);
    for (int round = 0; round < 2000; ++round) {
      Ids ids(random() % 30);
      for (TokenId& id : ids)
        id = static_cast<TokenId>(random() % static_cast<unsigned>(tokenizer->vocab_size() + 2));
      StreamingDetokenizer stream(*tokenizer);
      std::string streamed;
      for (const TokenId id : ids) {
        const std::string text = stream.push(id);
        ASSERT_TRUE(is_whole(text));
        streamed += text;
      }
      streamed += stream.finish();
      std::string expected;
      const std::string decoded = tokenizer->decode(ids);
      for (std::string_view rest = decoded; !rest.empty();) {
        const Utf8Step step = utf8_step(rest);
        append_utf8(step.code_point, expected);
        rest.remove_prefix(step.length_bytes);
      }
      ASSERT_EQ(streamed, expected);
    }
  }
}

}  // namespace
}  // namespace ridgeline::testing
