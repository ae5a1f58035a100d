#include "ridgeline/model/vocabulary.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "ridgeline/format/gguf.h"

// What GGUF's metadata says of SentencePiece's unigram model and of BERT's WordPiece.
namespace ridgeline {
namespace {

using Strings = std::vector<std::string_view>;

Checkpoint checkpoint(std::map<std::string, GgufValue, std::less<>> metadata) {
  Checkpoint::Contents contents;
  contents.path = "made.gguf";
  contents.metadata = std::move(metadata);
  return Checkpoint(std::move(contents));
}

std::map<std::string, GgufValue, std::less<>> unigram() {
  return {
      {"tokenizer.ggml.model", GgufValue::of<std::string_view>("t5")},
      {"tokenizer.ggml.tokens",
       GgufValue::of(Strings{"<pad>", "</s>", "<unk>", "\u2581", "a", "b", "\u2581a"})},
      {"tokenizer.ggml.scores", GgufValue::of(std::vector<float>{0, 0, 0, -1, -2, -3, -2})},
      {"tokenizer.ggml.token_type", GgufValue::of(std::vector<std::int32_t>{3, 3, 2, 1, 1, 1, 1})},
      {"tokenizer.ggml.eos_token_id", GgufValue::of(std::uint32_t{1})},
      {"tokenizer.ggml.unknown_token_id", GgufValue::of(std::uint32_t{2})},
      {"tokenizer.ggml.remove_extra_whitespaces", GgufValue::of(true)},
  };
}

TEST(GgufVocabulary, UnigramModelsEndTextsAndRemoveExtraSpaces) {
  const auto tokenizer = load_tokenizer(checkpoint(unigram()));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->encode("  a   ab x "), (std::vector<TokenId>{6, 6, 5, 3, 2, 1}));
  EXPECT_EQ((*tokenizer)->decode(std::vector<TokenId>{6, 6, 5, 1}), "a ab");
}

TEST(GgufVocabulary, ACharsmapIsBytesOfEitherSign) {
  auto metadata = unigram();
  metadata["tokenizer.ggml.precompiled_charsmap"] =
      GgufValue::of(std::vector<std::int8_t>{1, 2, -1});
  auto tokenizer = load_tokenizer(checkpoint(metadata));
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().message,
            "made.gguf: the precompiled charsmap has 3 bytes; expected at least 4, its double "
            "array's size");
  metadata["tokenizer.ggml.precompiled_charsmap"] =
      GgufValue::of(std::vector<std::int32_t>{1, 256});
  tokenizer = load_tokenizer(checkpoint(metadata));
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().message,
            "made.gguf: metadata 'tokenizer.ggml.precompiled_charsmap' holds 256, expected bytes");
}

TEST(GgufVocabulary, BertsTextsStandBetweenClsAndSep) {
  const auto tokenizer = load_tokenizer(checkpoint({
      {"tokenizer.ggml.model", GgufValue::of<std::string_view>("bert")},
      {"tokenizer.ggml.tokens",
       GgufValue::of(Strings{"[UNK]", "[CLS]", "[SEP]", "\u2581Go", "ne", "\u2581go"})},
      {"tokenizer.ggml.token_type", GgufValue::of(std::vector<std::int32_t>{3, 3, 3, 1, 1, 1})},
      {"tokenizer.ggml.unknown_token_id", GgufValue::of(std::uint32_t{0})},
      {"tokenizer.ggml.cls_token_id", GgufValue::of(std::uint32_t{1})},
      {"tokenizer.ggml.seperator_token_id", GgufValue::of(std::uint32_t{2})},
      {"tokenizer.ggml.normalizer.lowercase", GgufValue::of(false)},
  }));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->encode("Gone gone x"), (std::vector<TokenId>{1, 3, 4, 5, 4, 0, 2}));
}

TEST(GgufVocabulary, ARealBertVocabulary) {
  const std::string path = RIDGELINE_SHARED_DATA "/tokenizers/ggml-vocab-bert-bge.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  const auto file = open_gguf(path);
  ASSERT_TRUE(file) << file.error().message;
  const auto tokenizer = load_tokenizer(*file);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->encode("Hello, y'all!"),
            (std::vector<TokenId>{101, 7592, 1010, 1061, 1005, 2035, 999, 102}));
}

TEST(GgufVocabulary, AnUnknownKindIsNamedWithThoseThatExist) {
  const auto tokenizer = load_tokenizer(
      checkpoint({{"tokenizer.ggml.model", GgufValue::of<std::string_view>("rwkv")}}));
  ASSERT_FALSE(tokenizer);
  EXPECT_NE(tokenizer.error().message.find("tokenizer 'rwkv' is not supported; supported: llama"),
            std::string::npos);
}

}  // namespace
}  // namespace ridgeline
