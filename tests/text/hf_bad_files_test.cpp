#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "ridgeline/text/hf_tokenizer.h"

namespace ridgeline::testing {
namespace {

using nlohmann::json;

// "a", "b", "ab", <unk> and </s>.
json small_bpe() {
  return json::parse(R"({
    "added_tokens": [{"id": 4, "content": "</s>", "special": true}],
    "model": {"type": "BPE", "unk_token": "<unk>", "vocab": {"a": 0, "b": 1, "ab": 2, "<unk>": 3},
              "merges": ["a b"]}})");
}

json small_unigram() {
  return json::parse(R"({"model": {"type": "Unigram", "unk_id": 0,
                                   "vocab": [["<unk>", 0], ["a", -1.5], ["b", -2]]}})");
}

std::string error_of(const std::string& text, const std::string& config = "") {
  const auto tokenizer = load_hf_tokenizer(text, config, "folder/tokenizer.json");
  if (tokenizer) return "none";
  EXPECT_TRUE(tokenizer.error().message.starts_with("folder/tokenizer.json: "));
  return tokenizer.error().message.substr(23);
}

void expect_error(const json& definition, const std::string& part, const std::string& config = "") {
  const std::string error = error_of(definition.dump(), config);
  EXPECT_NE(error.find(part), std::string::npos) << error << "\nexpected: " << part;
}

std::unique_ptr<Tokenizer> load(const json& definition, const std::string& config = "",
                                std::vector<TokenId> end_ids = {}) {
  auto tokenizer =
      load_hf_tokenizer(definition.dump(), config, "tokenizer.json", std::move(end_ids));
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return *std::move(tokenizer);
}

TEST(HfBadFiles, NoJson) {
  EXPECT_EQ(error_of(""), "it is no JSON: parsing stops at byte 1");
  EXPECT_NE(error_of("{\"model\": nul").find("no JSON"), std::string::npos);
  EXPECT_NE(error_of("{\"a\": \"\xFF\"}").find("no JSON"), std::string::npos);
  EXPECT_EQ(error_of("[1]"), "it is no JSON object");
  EXPECT_EQ(error_of("{\"model\": " + std::string(100000, '[')),
            "its values nest more than 64 deep");
  EXPECT_EQ(error_of("{}"), "'model' is missing; expected an object");
  expect_error(small_bpe(), "tokenizer_config.json: it is no JSON", "{");
}

TEST(HfBadFiles, UnsupportedTypesAreNamedWithTheSupportedOnes) {
  const auto expect_unsupported = [](const char* part, const std::string& supported) {
    json definition = small_bpe();
    definition[part] = {{"type", "Quantum"}};
    expect_error(definition,
                 "the " + std::string(part) +
                     " has the type \"Quantum\", which is not supported; supported: " + supported);
  };
  expect_unsupported("normalizer", "Sequence, NFC,");
  expect_unsupported("pre_tokenizer", "Sequence, ByteLevel, Split,");
  expect_unsupported("decoder", "Sequence, ByteLevel, ByteFallback,");
  expect_unsupported("post_processor", "Sequence, TemplateProcessing,");
  json definition = small_bpe();
  definition["model"]["type"] = "Quantum";
  expect_error(definition,
               "the model has the type \"Quantum\", which is not supported; supported: "
               "BPE, Unigram, WordPiece, WordLevel");
  definition = small_bpe();
  definition["decoder"] = {{"type", "CTC"}};
  expect_error(definition, "the decoder has the type \"CTC\", which is not supported");
  definition["decoder"] = json::parse(
      R"({"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "ByteFallback"}]})");
  expect_error(definition, "the decoder.decoders[1] has the type ByteFallback behind Fuse");
  definition = small_bpe();
  definition["model"]["dropout"] = 0.1;
  expect_error(definition, "'model.dropout' is set");
}

TEST(HfBadFiles, FieldsOfParts) {
  const auto expect_wrong = [](const char* part, const char* value, const std::string& error) {
    json definition = small_bpe();
    definition[part] = json::parse(value);
    expect_error(definition, error);
  };
  expect_wrong("normalizer", R"({"type": "Prepend"})", "'normalizer.prepend' is missing");
  expect_wrong("normalizer", R"({"type": "Replace", "pattern": {"String": ""}, "content": ""})",
               "replaces an empty string");
  expect_wrong("normalizer", R"({"type": "Replace", "pattern": {"Regex": "(a"}, "content": ""})",
               "has a group that does not end");
  expect_wrong("normalizer", R"({"type": "Sequence", "normalizers": [{"type": "Precompiled",
               "precompiled_charsmap": "?"}]})",
               "is no base64");
  expect_wrong("pre_tokenizer", R"({"type": "Split", "pattern": {"Regex": "\\p{Klingon}"},
               "behavior": "Isolated"})",
               "has the property \"klingon\", which is not supported");
  expect_wrong("pre_tokenizer", R"({"type": "Split", "pattern": {"Regex": "[a"},
               "behavior": "Isolated"})",
               "has a class that does not end");
  expect_wrong("pre_tokenizer", R"({"type": "Split", "pattern": {"Regex": "a"},
               "behavior": "Sideways"})",
               "\"Sideways\"; expected Removed, Isolated,");
  expect_wrong("pre_tokenizer", R"({"type": "Metaspace", "replacement": "ab"})",
               "'pre_tokenizer.replacement' is \"ab\"; expected one character");
  expect_wrong("post_processor", R"({"type": "BertProcessing", "sep": ["x", 7], "cls": ["x", 0]})",
               "'post_processor.sep' has the id 7; expected one below the number of tokens, 5");
  expect_wrong("post_processor", R"({"type": "TemplateProcessing", "single": [],
               "special_tokens": {}})",
               "has the text 0 times; expected once");
}

TEST(HfBadFiles, AFewReplacesDoNotFillTheMemory) {
  json definition = small_bpe();
  json parts = json::array();
  for (int i = 0; i < 20; ++i) {
    parts.push_back({{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aaaa"}});
  }
  definition["normalizer"] = {{"type", "Sequence"}, {"normalizers", parts}};
  expect_error(definition, "may make a text more than 4096 times as long");
}

TEST(HfBadFiles, Vocabularies) {
  json definition = small_bpe();
  definition["model"]["vocab"] = json::object();
  definition["added_tokens"] = json::array();
  expect_error(definition, "'model.vocab' is missing or empty");
  definition = small_bpe();
  definition["model"]["vocab"]["c"] = 1;
  expect_error(definition, "the id 1 is that of two tokens, \"b\" and \"c\"");
  definition = small_bpe();
  definition["model"]["vocab"]["c"] = -1;
  expect_error(definition, "the token \"c\" has the id -1");
  definition["model"]["vocab"]["c"] = 2'000'000'000;
  expect_error(definition, "has 6 tokens and the id 2000000000, which is too high for so few");
  definition["model"]["vocab"]["c"] = "x";
  expect_error(definition, "'vocab' of the model is neither");
  definition = small_bpe();
  definition["added_tokens"][0]["id"] = 0;
  expect_error(definition, "the id 0 is that of two tokens, \"a\" and \"</s>\"");
  definition = small_bpe();
  definition["added_tokens"][0].erase("id");
  expect_error(definition, "'added_tokens[0].id' is missing");
  definition = small_bpe();
  definition["model"]["unk_token"] = "?";
  expect_error(definition, "'model.unk_token' is \"?\", which is not in the vocabulary");
  definition = small_unigram();
  definition["model"]["unk_id"] = 3;
  expect_error(definition, "'model.unk_id' is 3; expected one below the number of pieces, 3");
  definition["model"]["vocab"][0] = {"<unk>", 0, 1};
  expect_error(definition, "'vocab' of the model is neither");
}

TEST(HfBadFiles, Merges) {
  for (const auto& [merge, part] :
       {std::pair{"a c", "\"a\" and \"c\"; expected a token for the right part"},
        std::pair{"c a", "expected a token for the left part"},
        std::pair{"b a", "expected a token for both parts together"},
        std::pair{"ab", "merge 0 of the model is \"ab\"; expected two tokens"}}) {
    json definition = small_bpe();
    definition["model"]["merges"] = {merge};
    expect_error(definition, part);
  }
  json definition = small_bpe();
  definition["model"]["merges"] = {{"a", "b", "a"}};
  expect_error(definition, "'merges' of the model is not a list of");
}

TEST(HfFolder, ConfigNamesSpecialTokens) {
  const auto tokenizer =
      load(small_bpe(), R"({"bos_token": "a", "eos_token": {"content": "</s>"}, "pad_token": "none",
                            "add_bos_token": true, "add_eos_token": true,
                            "added_tokens_decoder": {"9": {"content": "<x>", "special": true}}})");
  EXPECT_EQ(tokenizer->encode("ab"), (std::vector<TokenId>{0, 2, 4}));
  EXPECT_EQ(tokenizer->encode("ab", {.add_bos = false, .add_eos = false}),
            (std::vector<TokenId>{2}));
  EXPECT_TRUE(tokenizer->is_end_of_generation(4));
  EXPECT_EQ(tokenizer->data().padding, std::nullopt);
  // Ids 5 to 8 are nobody's.
  EXPECT_EQ(tokenizer->vocab_size(), 10);
  EXPECT_EQ(tokenizer->find("<x>"), 9);
  EXPECT_EQ(tokenizer->piece(7, true), "");
  EXPECT_EQ(tokenizer->encode("<x>", {.parse_special = true, .add_bos = false, .add_eos = false}),
            (std::vector<TokenId>{9}));
  expect_error(small_bpe(), "has the key \"9x\"; expected a token id",
               R"({"added_tokens_decoder": {"9x": {"content": "<x>"}}})");
  expect_error(small_bpe(), "the added token \"</s>\" has the ids 4 and 5",
               R"({"added_tokens_decoder": {"5": {"content": "</s>"}}})");
}

TEST(HfFolder, AddBosFalseWinsOverThePostProcessor) {
  json definition = small_bpe();
  definition["post_processor"] =
      json::parse(R"({"type": "RobertaProcessing", "cls": ["a", 0], "sep": ["</s>", 4]})");
  EXPECT_EQ(load(definition)->encode("b"), (std::vector<TokenId>{0, 1, 4}));
  EXPECT_EQ(load(definition, R"({"add_bos_token": false})")->encode("b"),
            (std::vector<TokenId>{1, 4}));
  expect_error(small_bpe(), "wants a bos token before every text but names none",
               R"({"add_bos_token": true})");
}

TEST(HfFolder, GenerationConfigsEnds) {
  const auto tokenizer = load(small_bpe(), "", {0, 1});
  EXPECT_TRUE(tokenizer->is_end_of_generation(0));
  EXPECT_TRUE(tokenizer->is_end_of_generation(1));
  EXPECT_TRUE(tokenizer->is_end_of_generation(4));  // "</s>", by its text
  EXPECT_FALSE(tokenizer->is_end_of_generation(2));
}

TEST(HfFolder, BytesThatAreNoText) {
  const auto tokenizer = load(small_bpe());
  EXPECT_EQ(tokenizer->encode("a\xFF\xFE"
                              "b"),
            (std::vector<TokenId>{0, 3, 3, 1}));
}

// Every file of the oracle, damaged: an error, or a tokenizer that works.
TEST(HfBadFiles, DamagedOnes) {
  std::mt19937 random(7);
  int num_loaded = 0, num_refused = 0;
  const auto folder =
      std::filesystem::path(RIDGELINE_SOURCE_DIR) / "tests/data/oracles/hf_tokenizers";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename().string().find(".tokenizer.json") == std::string::npos) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string whole{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    // What precedes the vocabulary is what breaks in interesting ways.
    const std::size_t head =
        std::min(whole.size(), std::max<std::size_t>(whole.find("\"vocab\""), 200));
    for (int round = 0; round < 40; ++round) {
      std::string damaged = whole;
      for (int i = 0; i < 3; ++i) {
        const std::size_t at = random() % (round % 4 == 0 ? whole.size() : head);
        const std::string_view letters = "0123456789{}[]\",:\\nulltruefalse+*?()|^$ab";
        damaged[at] = letters[random() % letters.size()];
      }
      if (round % 10 == 9) damaged.resize(random() % damaged.size());
      const auto tokenizer = load_hf_tokenizer(damaged, "", "x");
      if (!tokenizer) {
        EXPECT_GT(tokenizer.error().message.size(), 10u);
        ++num_refused;
        continue;
      }
      ++num_loaded;
      const std::string text = "Hello \u4e16\u754c <s> 123\n\n  caf\u00e9 \xFF";
      const auto ids = (*tokenizer)->encode(text, {.parse_special = true});
      for (const TokenId id : ids) EXPECT_TRUE((*tokenizer)->is_valid(id));
      (*tokenizer)->decode(ids);
    }
  }
  EXPECT_GT(num_loaded, 50);
  EXPECT_GT(num_refused, 200);
}

}  // namespace
}  // namespace ridgeline::testing
