#include "ridgeline/engine/speculation/vocabulary_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <numeric>
#include <random>

#include "ridgeline/format/gguf.h"
#include "ridgeline/model/vocabulary.h"
#include "tests/text/small_vocabularies.h"

namespace ridgeline {
namespace {

using ::ridgeline::testing::add_token;
using ::ridgeline::testing::make_tokenizer;
using ::ridgeline::testing::small_byte_level;
using ::ridgeline::testing::small_sentencepiece;
using ::ridgeline::testing::Type;
using ::testing::HasSubstr;

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

/// Token `order[i]` of `data` becomes token i.
VocabularyData reordered(const VocabularyData& data, const std::vector<TokenId>& order) {
  VocabularyData other = data;
  std::vector<TokenId> new_id(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto old = static_cast<std::size_t>(order[i]);
    new_id[old] = static_cast<TokenId>(i);
    other.tokens[i] = data.tokens[old];
    other.types[i] = data.types[old];
    if (!data.scores.empty()) other.scores[i] = data.scores[old];
  }
  for (auto* id : {&other.bos, &other.eos, &other.unknown})
    if (*id) *id = new_id[static_cast<std::size_t>(**id)];
  return other;
}

std::vector<TokenId> shuffled(std::size_t size, unsigned seed) {
  std::vector<TokenId> order(size);
  std::iota(order.begin(), order.end(), 0);
  std::mt19937 random(seed);
  std::ranges::shuffle(order, random);
  return order;
}

VocabularyMap map_of(const VocabularyData& target, const VocabularyData& draft) {
  const auto map =
      VocabularyMap::make(*make_tokenizer(target), "target", *make_tokenizer(draft), "draft");
  if (!map) throw std::runtime_error(map.error().message);
  return *map;
}

TEST(VocabularyMap, TheSameVocabularyIsTheIdentity) {
  for (const VocabularyData& data : {small_sentencepiece(), small_byte_level()}) {
    const VocabularyMap map = map_of(data, data);
    EXPECT_TRUE(map.is_identity());
    for (TokenId id = 0; id < static_cast<TokenId>(data.tokens.size()); ++id) {
      EXPECT_EQ(map.to_draft(id), id);
      EXPECT_EQ(map.to_target(id), id);
      EXPECT_EQ(map.in_context(id), id);
    }
    EXPECT_EQ(map.to_draft(-1), kNoToken);
    EXPECT_EQ(map.to_draft(static_cast<TokenId>(data.tokens.size())), kNoToken);
  }
}

TEST(VocabularyMap, OtherIdsOfTheSameTokens) {
  for (const VocabularyData& data : {small_sentencepiece(), small_byte_level()}) {
    const std::vector<TokenId> order = shuffled(data.tokens.size(), 5);
    const VocabularyMap map = map_of(data, reordered(data, order));
    EXPECT_FALSE(map.is_identity());
    EXPECT_EQ(map.missing(), 0);
    for (TokenId id = 0; id < static_cast<TokenId>(order.size()); ++id) {
      const TokenId target = order[static_cast<std::size_t>(id)];
      EXPECT_EQ(map.to_target(id), target) << data.tokens[static_cast<std::size_t>(target)];
      EXPECT_EQ(map.to_draft(target), id);
    }
  }
}

// "h" the letter and <0x68> the byte say the same and are two tokens.
TEST(VocabularyMap, BytesAndControlTokensAreNotText) {
  VocabularyData target = small_sentencepiece();
  const TokenId letter = add_token(target, "</x>", Type::kNormal);
  const TokenId control = add_token(target, "<y>", Type::kControl);
  VocabularyData draft = small_sentencepiece();
  add_token(draft, "</x>", Type::kControl);
  add_token(draft, "<y>", Type::kUserDefined);
  const VocabularyMap map = map_of(target, reordered(draft, shuffled(draft.tokens.size(), 2)));
  EXPECT_EQ(map.to_draft(letter), kNoToken);
  EXPECT_EQ(map.missing(), 1);
  const auto ids = make_tokenizer(reordered(draft, shuffled(draft.tokens.size(), 2)));
  EXPECT_EQ(map.to_target(*ids->find("</x>")), kNoToken);
  EXPECT_EQ(map.to_draft(*make_tokenizer(target)->find("h")), *ids->find("h"));
  EXPECT_EQ(map.to_draft(*make_tokenizer(target)->find("<0x68>")), *ids->find("<0x68>"));
  // What is a control token here and a user's token there is the same.
  EXPECT_EQ(map.to_draft(control), *ids->find("<y>"));
}

TEST(VocabularyMap, TokensWithoutACounterpart) {
  VocabularyData target = small_sentencepiece(), draft = small_sentencepiece();
  const TokenId tool = add_token(target, "<tool>", Type::kControl);
  const TokenId word = add_token(target, "tool", Type::kNormal, -20);
  const VocabularyMap longer = map_of(target, draft);
  EXPECT_TRUE(longer.is_identity());
  EXPECT_EQ(longer.missing(), 1);
  EXPECT_EQ(longer.to_draft(tool), kNoToken);
  EXPECT_EQ(longer.to_draft(word), kNoToken);
  EXPECT_EQ(longer.in_context(tool), *draft.unknown);
  const VocabularyMap shorter = map_of(draft, target);
  EXPECT_TRUE(shorter.is_identity());
  EXPECT_EQ(shorter.missing(), 0);
  EXPECT_EQ(shorter.to_target(word), kNoToken);
  // A byte-level vocabulary has no unknown token: the end of a text stands in.
  const VocabularyData bytes = small_byte_level();
  VocabularyData more = bytes;
  const TokenId added = add_token(more, "<|tool|>", Type::kControl);
  EXPECT_EQ(map_of(more, bytes).in_context(added), *bytes.eos);
}

TEST(VocabularyMap, TranslatesLogits) {
  VocabularyData data = small_sentencepiece(), wider = data;
  const TokenId extra = add_token(wider, "zebra", Type::kNormal, -30);
  const std::vector<TokenId> order = shuffled(wider.tokens.size(), 9);
  const VocabularyMap map = map_of(data, reordered(wider, order));
  std::vector<float> draft(order.size() + 3), target(data.tokens.size() + 2);
  for (std::size_t i = 0; i < order.size(); ++i) draft[i] = static_cast<float>(order[i]);
  draft[static_cast<std::size_t>(std::ranges::find(order, extra) - order.begin())] = 1;
  EXPECT_TRUE(map.translate(draft, target));
  for (std::size_t i = 0; i < data.tokens.size(); ++i) EXPECT_EQ(target[i], static_cast<float>(i));
  for (std::size_t i = data.tokens.size(); i < target.size(); ++i)
    EXPECT_EQ(target[i], kMinusInfinity);
  // The likeliest token of the draft is none of the target's.
  draft[static_cast<std::size_t>(std::ranges::find(order, extra) - order.begin())] = 1000;
  EXPECT_FALSE(map.translate(draft, target));
}

// Tens of thousands of tokens, some of which say the same as others.
TEST(VocabularyMap, RealVocabulariesUnderOtherIds) {
  const std::filesystem::path folder = RIDGELINE_SHARED_DATA "/tokenizers";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is absent";
  for (const char* name : {"llama-spm", "gpt-2", "bert-bge", "deepseek-llm"}) {
    SCOPED_TRACE(name);
    const auto file = open_gguf(folder / (std::string("ggml-vocab-") + name + ".gguf"));
    ASSERT_TRUE(file) << file.error().message;
    auto data = read_vocabulary(*file);
    ASSERT_TRUE(data) << data.error().message;
    data->types.resize(data->tokens.size(), Type::kNormal);
    const VocabularyMap same = map_of(*data, *data);
    EXPECT_TRUE(same.is_identity());
    EXPECT_EQ(same.missing(), 0);
    const std::vector<TokenId> order = shuffled(data->tokens.size(), 3);
    const VocabularyMap map = map_of(*data, reordered(*data, order));
    EXPECT_EQ(map.missing(), 0);
    const auto tokenizer = make_tokenizer(*data);
    for (std::size_t i = 0; i < order.size(); ++i) {
      const TokenId target = map.to_target(static_cast<TokenId>(i));
      if (target == kNoToken) continue;
      EXPECT_EQ(tokenizer->piece(target, true), tokenizer->piece(order[i], true));
    }
  }
}

TEST(VocabularyMap, AnotherVocabularyIsRefused) {
  const auto map = VocabularyMap::make(*make_tokenizer(small_byte_level()), "large.gguf",
                                       *make_tokenizer(small_sentencepiece()), "small.gguf");
  ASSERT_FALSE(map);
  EXPECT_THAT(map.error().message, HasSubstr("small.gguf: its vocabulary of 274 tokens lacks"));
  EXPECT_THAT(map.error().message, HasSubstr("of the 261 tokens of large.gguf"));
  EXPECT_THAT(map.error().message, HasSubstr("but for 1 %"));
}

}  // namespace
}  // namespace ridgeline
