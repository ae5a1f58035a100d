#include "ridgeline/text/sentencepiece_model.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "tests/text/small_vocabularies.h"
#include "tests/text/vocabulary_files.h"

// Models that sentencepiece has trained, and what it makes of awkward and random texts
// (tools/make_tokenizer_oracle.py).
namespace ridgeline::testing {
namespace {

const std::filesystem::path kFolder = RIDGELINE_SOURCE_DIR "/tests/data/oracles/tokenizers";

class SentencePieceModel : public ::testing::TestWithParam<const char*> {};

TEST_P(SentencePieceModel, GivesTheIdsAndTextsOfTheLibrary) {
  const std::string name = GetParam();
  auto data = read_sentencepiece_model(read_file(kFolder / (name + ".model")));
  ASSERT_TRUE(data) << data.error().message;
  const auto tokenizer = make_tokenizer(*std::move(data));
  const auto oracle = nlohmann::json::parse(read_file(kFolder / "sentencepiece.json"));
  ASSERT_GE(oracle["texts"].size(), 50u);
  const auto& expected = oracle["vocabularies"][name];
  for (std::size_t i = 0; i < oracle["texts"].size(); ++i) {
    const std::string text = oracle["texts"][i];
    const std::vector<TokenId> ids = expected["ids"][i];
    EXPECT_EQ(tokenizer->encode(text, {.add_bos = false, .add_eos = false}), ids) << text;
    if (i >= expected["decoded"].size()) continue;
    const std::string decoded = expected["decoded"][i];
    // The library writes unknown characters as U+2047 between spaces.
    if (decoded.find("\u2047") == std::string::npos) {
      EXPECT_EQ(tokenizer->decode(ids), decoded) << text;
    }
  }
}

// Fields as protobuf writes them, for messages of less than 128 bytes.
std::string varint_field(int number, int value) {
  return {static_cast<char>(number << 3), static_cast<char>(value)};
}
std::string bytes_field(int number, const std::string& bytes) {
  return std::string{static_cast<char>((number << 3) | 2), static_cast<char>(bytes.size())} + bytes;
}
const std::string kPiece = bytes_field(1, bytes_field(1, "a"));

TEST(SentencePieceModelFile, DefaultsAreTheSchemas) {
  const auto data = read_sentencepiece_model(kPiece + bytes_field(77, "unknown field"));
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->kind, VocabularyData::Kind::kUnigram);
  EXPECT_EQ(data->tokens, std::vector<std::string>{"a"});
  EXPECT_EQ(data->scores, std::vector<float>{0});
  EXPECT_EQ(data->type(0), Type::kNormal);
  EXPECT_EQ(data->unknown, std::nullopt);  // piece 0 is no unknown piece
  EXPECT_EQ(data->add_space_prefix, true);
  EXPECT_EQ(data->remove_extra_whitespaces, true);
}

TEST(SentencePieceModelFile, WhatCannotBeReadIsNamed) {
  const auto expect_error = [](const std::string& bytes, const std::string& part) {
    const auto data = read_sentencepiece_model(bytes);
    ASSERT_FALSE(data) << part;
    EXPECT_NE(data.error().message.find(part), std::string::npos) << data.error().message;
  };
  expect_error("", "no pieces");
  expect_error("\xFF\xFF", "ModelProto is damaged at byte 2");
  expect_error(std::string("\x0A\x10short", 7), "ModelProto is damaged");
  expect_error(varint_field(1, 3), "ModelProto has field 1 with wire type 0");
  expect_error(bytes_field(1, varint_field(1, 3)), "piece has field 1 with wire type 0");
  expect_error(bytes_field(1, varint_field(3, 9)), "piece 0, \"\", has type 9");
  expect_error(bytes_field(1, "\x0B"), "piece is damaged");
  expect_error(kPiece + bytes_field(2, varint_field(3, 3)), "of type WORD");
  expect_error(kPiece + bytes_field(2, varint_field(3, 4)), "of type CHAR");
  expect_error(kPiece + bytes_field(2, varint_field(3, 9)), "model_type is 9");
  expect_error(kPiece + bytes_field(2, std::string("\xC0\x01\x01")), "treat_whitespace_as_suffix");
  expect_error(kPiece + bytes_field(3, varint_field(5, 0)), "escape_whitespaces");
}

// Cut off anywhere and changed anywhere: an error, or a vocabulary that can be used or
// refused.
TEST(SentencePieceModelFile, DamagedFilesAreHarmless) {
  std::mt19937 random(13);
  for (const char* name : {"unigram.model", "bpe_bytes.model"}) {
    const std::string good = read_file(kFolder / name);
    for (int round = 0; round < 300; ++round) {
      std::string bytes = good;
      if (round % 2 == 0) bytes.resize(random() % bytes.size());
      for (std::size_t i = 0; i < random() % 8 && !bytes.empty(); ++i)
        bytes[random() % bytes.size()] = static_cast<char>(random());
      auto data = read_sentencepiece_model(bytes);
      if (!data) continue;
      const auto tokenizer = Tokenizer::create(*std::move(data));
      if (!tokenizer) continue;
      for (const TokenId id : (*tokenizer)->encode("The qu\u00efck  brown\n \uff21\u200b fox"))
        EXPECT_TRUE((*tokenizer)->is_valid(id));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, SentencePieceModel,
                         ::testing::Values("unigram", "unigram_bytes", "bpe", "bpe_bytes"));

}  // namespace
}  // namespace ridgeline::testing
