#include "ridgeline/text/special_tokens.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/text/small_vocabularies.h"

namespace ridgeline::testing {
namespace {

using Ids = std::vector<TokenId>;

// The definition: at each place try every token.
std::vector<SpecialTokens::Occurrence> find_by_definition(const VocabularyData& data,
                                                          std::string_view text,
                                                          bool parse_special) {
  std::vector<SpecialTokens::Occurrence> found;
  for (std::size_t at = 0; at < text.size();) {
    SpecialTokens::Occurrence best = {at, 0, kNoToken};
    for (std::size_t i = 0; i < data.tokens.size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      const Type type = data.type(id);
      if (type != Type::kUserDefined &&
          !(parse_special && (type == Type::kControl || type == Type::kUnknown)))
        continue;
      const std::string& token = data.tokens[i];
      if (token.size() > best.length_bytes && text.substr(at).starts_with(token)) {
        best = {at, token.size(), id};
      }
    }
    if (best.id != kNoToken) found.push_back(best);
    at += std::max<std::size_t>(best.length_bytes, 1);
  }
  return found;
}

TEST(SpecialTokens, FindsTheLeftmostLongestAsByDefinition) {
  std::mt19937 random(5);
  const auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const auto random_text = [&](std::size_t max_size) {
    std::string text;
    for (std::size_t i = 0, n = below(max_size + 1); i < n; ++i) text += "ab<\xC3"[below(4)];
    return text;
  };
  const Type types[] = {Type::kControl, Type::kUserDefined, Type::kNormal, Type::kUnknown};
  for (int round = 0; round < 500; ++round) {
    VocabularyData data;
    for (std::size_t i = 0, n = below(12); i < n; ++i)
      add_token(data, random_text(5), types[below(4)]);
    const SpecialTokens special(data);
    const std::string text = random_text(60);
    for (const bool parse_special : {false, true}) {
      const auto expected = find_by_definition(data, text, parse_special);
      const auto found = special.find_all(text, parse_special);
      ASSERT_EQ(found.size(), expected.size()) << text;
      for (std::size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i].begin, expected[i].begin);
        EXPECT_EQ(found[i].length_bytes, expected[i].length_bytes);
        EXPECT_EQ(data.tokens[static_cast<std::size_t>(found[i].id)],
                  data.tokens[static_cast<std::size_t>(expected[i].id)]);
      }
    }
  }
}

TEST(SpecialTokens, ControlTokensOnlyIfAskedForUserDefinedAlways) {
  VocabularyData data = small_byte_level();
  const TokenId tool = add_token(data, "<tool>", Type::kUserDefined);
  const TokenId tools = add_token(data, "<tool>s", Type::kUserDefined);
  const auto tokenizer = make_tokenizer(data);
  const TokenId end = *data.eos;
  EXPECT_EQ(tokenizer->encode("<tool><tool>s<|end|>", {.parse_special = true}),
            (Ids{tool, tools, end}));
  const Ids plain = tokenizer->encode("<tool><|end|>");
  EXPECT_EQ(plain.front(), tool);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), end), 0);
  EXPECT_EQ(tokenizer->decode(plain), "<tool><|end|>");
  EXPECT_EQ(tokenizer->decode(Ids{tool, end}), "<tool>");
  EXPECT_EQ(tokenizer->decode(Ids{tool, end}, true), "<tool><|end|>");
}

TEST(SpecialTokens, SentencePieceTextBehindOneBeginsAsATextDoes) {
  VocabularyData data = small_sentencepiece();
  const auto tokenizer = make_tokenizer(data);
  const Ids ids = tokenizer->encode("<s>the</s>the", {.parse_special = true, .add_bos = false});
  const TokenId the = *tokenizer->find("\u2581the");
  EXPECT_EQ(ids, (Ids{1, the, 2, the}));
  EXPECT_EQ(tokenizer->decode(ids, true), "<s>the</s>the");
  EXPECT_EQ(tokenizer->decode(ids), "thethe");
}

TEST(SpecialTokens, BosAndEosAsTheVocabularySaysUnlessTold) {
  VocabularyData data = small_sentencepiece();
  data.add_eos = true;
  const auto tokenizer = make_tokenizer(data);
  const TokenId the = *tokenizer->find("\u2581the");
  EXPECT_EQ(tokenizer->encode("the"), (Ids{1, the, 2}));
  EXPECT_EQ(tokenizer->encode(""), (Ids{1, 2}));
  EXPECT_EQ(tokenizer->encode("the", {.add_bos = false, .add_eos = false}), (Ids{the}));
  const auto byte_level = make_tokenizer(small_byte_level());
  EXPECT_EQ(byte_level->encode("", {.add_bos = true, .add_eos = true}),
            (Ids{*byte_level->data().eos}));
}

TEST(EndOfGeneration, GptOssEndsTurnsNotMessages) {
  VocabularyData data = small_byte_level();  // which has <|end|>
  const TokenId end = *data.eos;
  const TokenId returned = add_token(data, "<|return|>", Type::kControl);
  const TokenId call = add_token(data, "<|call|>", Type::kControl);
  data.eos = returned;
  const auto tokenizer = make_tokenizer(data);
  EXPECT_TRUE(tokenizer->is_end_of_generation(returned));
  EXPECT_TRUE(tokenizer->is_end_of_generation(call));
  EXPECT_FALSE(tokenizer->is_end_of_generation(end));
}

TEST(EndOfGeneration, NamedIdsAndKnownTexts) {
  VocabularyData data = small_byte_level();
  const TokenId im_end = add_token(data, "<|im_end|>", Type::kUserDefined);
  const TokenId html = add_token(data, "</s>", Type::kUserDefined);
  const TokenId normal = add_token(data, "<|endoftext|>", Type::kNormal);
  const TokenId eot = add_token(data, "whatever", Type::kControl);
  const TokenId other = add_token(data, "<|start|>", Type::kControl);
  data.eot = eot;
  const auto tokenizer = make_tokenizer(data);
  EXPECT_TRUE(tokenizer->is_end_of_generation(*data.eos));
  EXPECT_TRUE(tokenizer->is_end_of_generation(im_end));
  EXPECT_TRUE(tokenizer->is_end_of_generation(eot));
  for (const TokenId id : {html, normal, other, 0, -1, 1 << 30}) {
    EXPECT_FALSE(tokenizer->is_end_of_generation(id)) << id;
  }
}

}  // namespace
}  // namespace ridgeline::testing
