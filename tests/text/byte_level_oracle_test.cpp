#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/text/small_vocabularies.h"
#include "tests/text/vocabulary_files.h"

// Against the tokenizers library with the models' own pre-tokenizers
// (tools/make_tokenizer_oracle.py).
namespace ridgeline::testing {
namespace {

const std::filesystem::path kFile =
    RIDGELINE_SOURCE_DIR "/tests/data/oracles/tokenizers/byte_level_bpe.json";

VocabularyData make_vocabulary(const std::string& pre_tokenizer, const nlohmann::json& merges) {
  VocabularyData data;
  data.kind = VocabularyData::Kind::kByteLevelBpe;
  data.pre_tokenizer = pre_tokenizer;
  for (int byte = 0; byte < 256; ++byte) {
    std::string text;
    append_utf8(byte_level_symbol(static_cast<std::uint8_t>(byte)), text);
    data.tokens.push_back(text);
  }
  std::sort(data.tokens.begin(), data.tokens.end());
  for (const auto& merge : merges) {
    const std::string left = merge[0], right = merge[1];
    data.merges.push_back(left + " " + right);
    if (std::find(data.tokens.begin(), data.tokens.end(), left + right) == data.tokens.end())
      data.tokens.push_back(left + right);
  }
  return data;
}

TEST(ByteLevelOracle, GivesTheIdsOfTheLibraryWithEveryPreTokenizer) {
  const auto oracle = nlohmann::json::parse(read_file(kFile));
  EXPECT_GE(oracle["pre_tokenizers"].size(), 25u);
  for (const auto& [name, expected] : oracle["pre_tokenizers"].items()) {
    VocabularyData data =
        make_vocabulary(name, expected.contains("merges") ? expected["merges"] : oracle["merges"]);
    const auto tokenizer = make_tokenizer(data);
    for (std::size_t i = 0; i < oracle["texts"].size(); ++i) {
      const std::string text = oracle["texts"][i];
      if (expected["ids"][i].is_null()) continue;
      const std::vector<TokenId> ids = expected["ids"][i];
      EXPECT_EQ(tokenizer->encode(text, {.add_bos = false}), ids) << name << ": " << text;
    }
  }
}

}  // namespace
}  // namespace ridgeline::testing
