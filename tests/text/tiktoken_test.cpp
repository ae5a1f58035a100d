#include "ridgeline/text/tiktoken.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/text/small_vocabularies.h"

namespace ridgeline::testing {
namespace {

// "a", "b", "c", "ab", "bc", "abc".
const std::string kSmall = "YQ== 0\nYg== 1\nYw== 2\nYWI= 3\r\nYmM= 4\n\nYWJj 5";

TEST(Tiktoken, TokensAndTheMergesThatTheirRanksImply) {
  const auto data = read_tiktoken(kSmall, "gpt-2", {"<|end|>"});
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->tokens, (std::vector<std::string>{"a", "b", "c", "ab", "bc", "abc", "<|end|>"}));
  EXPECT_EQ(data->merges, (std::vector<std::string>{"a b", "b c", "a bc", "ab c"}));
  const auto tokenizer = make_tokenizer(*data);
  EXPECT_EQ(tokenizer->encode("abcbc"), (std::vector<TokenId>{5, 4}));
  EXPECT_EQ(tokenizer->encode("ab<|end|>", {.parse_special = true}), (std::vector<TokenId>{3, 6}));
}

TEST(Tiktoken, IsToldFromASentencePieceModel) {
  EXPECT_TRUE(looks_like_tiktoken(kSmall));
  EXPECT_FALSE(looks_like_tiktoken(""));
  EXPECT_FALSE(looks_like_tiktoken("\x0A\x0E\x0A\x05<unk>\x15"));
  EXPECT_FALSE(looks_like_tiktoken("{\"version\": 1}\n"));
}

void expect_error(const std::string& bytes, const std::string& part) {
  const auto data = read_tiktoken(bytes, "gpt-2", {});
  ASSERT_FALSE(data) << bytes;
  EXPECT_NE(data.error().message.find(part), std::string::npos) << data.error().message;
}

TEST(Tiktoken, AWrongLineIsNamed) {
  expect_error("", "no tokens");
  expect_error("YQ== 0\nYg==", "line 2 of the tiktoken file is \"Yg==\" \"\"; expected a token");
  expect_error("YQ== 0\nYg= 1\n", "line 2");
  expect_error("Y\x01== 0\n", "line 1 of the tiktoken file is \"Y\\x01==\"");
  expect_error("YQ== 0\nYg== 2\n", "line 2 of the tiktoken file has the rank 2; expected 1");
  expect_error("YQ== -1\n", "line 1");
  expect_error("YQ== 0x\n", "line 1");
  expect_error("==== 0\n", "line 1");
  expect_error(std::string(4000, 'A') + " 0\n", "a token of 3000 bytes; expected at most 512");
}

}  // namespace
}  // namespace ridgeline::testing
