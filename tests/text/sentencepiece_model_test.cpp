#include "ridgeline/text/sentencepiece_model.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
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
  ASSERT_GE(oracle["texts"].size(), 70u);
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

INSTANTIATE_TEST_SUITE_P(All, SentencePieceModel,
                         ::testing::Values("unigram", "unigram_bytes", "bpe", "bpe_bytes"));

}  // namespace
}  // namespace ridgeline::testing
