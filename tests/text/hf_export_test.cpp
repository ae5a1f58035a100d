#include "ridgeline/text/hf_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "ridgeline/text/hf_tokenizer.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string definition(const std::string& name) {
  return read_file(RIDGELINE_SOURCE_DIR "/tests/data/oracles/hf_tokenizers/" + name +
                   ".tokenizer.json");
}

std::string error_of(const std::string& text) {
  const auto exported = export_hf_tokenizer(text, "", "tokenizer.json", {});
  return exported ? "no error" : exported.error().message;
}

struct Case {
  const char* name;
  VocabularyData::Kind kind;
  const char* pre_tokenizer;
  /// GGUF has no place for something in it: spaces in front of a text (mistral), tokens that no
  /// merge yields (gemma), words of a few characters at most (bert, as this test has it).
  bool has_oddities = false;
};

/// Without runs of characters, without a space in front, of short words.
bool is_plain(const std::string& text) {
  std::size_t word = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    word = text[i] == ' ' || text[i] == '\n' ? 0 : word + 1;
    if (word > 12 || (i > 0 && text[i] == text[i - 1] && text[i] == ' ')) return false;
  }
  return !text.starts_with(' ') && text.find('\n') == std::string::npos;
}

class HfExport : public testing::TestWithParam<Case> {};

/// Texts that the library was asked for: control tokens among them, any script, any bytes.
TEST_P(HfExport, GivesTheSameIds) {
  const std::string text = definition(GetParam().name);
  const auto original = load_hf_tokenizer(text, "", "tokenizer.json");
  ASSERT_TRUE(original) << original.error().message;
  auto exported = export_hf_tokenizer(text, "", "tokenizer.json", {});
  ASSERT_TRUE(exported) << exported.error().message;
  EXPECT_EQ(exported->data.kind, GetParam().kind);
  EXPECT_EQ(exported->data.pre_tokenizer, GetParam().pre_tokenizer);
  const auto copy = Tokenizer::create(std::move(exported->data));
  ASSERT_TRUE(copy) << copy.error().message;
  EXPECT_EQ((*copy)->encode("Hello"), (*original)->encode("Hello"));
  EXPECT_EQ((*copy)->adds_bos(), (*original)->adds_bos());
  int compared = 0;
  for (const std::string& probe : tokenizer_probes()) {
    if (GetParam().has_oddities && !is_plain(probe)) continue;
    EXPECT_EQ((*copy)->encode(probe), (*original)->encode(probe)) << json(probe).dump();
    ++compared;
  }
  EXPECT_GE(compared, 4);
  const auto says_so = testing::Contains(HasSubstr("texts that were tried other tokens"));
  if (GetParam().has_oddities)
    EXPECT_THAT(exported->notes, says_so);
  else
    EXPECT_THAT(exported->notes, testing::Not(says_so));
}

constexpr auto kSentencePiece = VocabularyData::Kind::kSentencePieceBpe;
constexpr auto kByteLevel = VocabularyData::Kind::kByteLevelBpe;
constexpr auto kWordPiece = VocabularyData::Kind::kWordPiece;

INSTANTIATE_TEST_SUITE_P(
    All, HfExport,
    testing::Values(Case{"llama2", kSentencePiece, ""}, Case{"mistral", kSentencePiece, "", true},
                    Case{"phi3", kSentencePiece, ""}, Case{"gemma", kSentencePiece, "", true},
                    Case{"llama3", kByteLevel, "llama-bpe"}, Case{"qwen2", kByteLevel, "qwen2"},
                    Case{"gpt2", kByteLevel, "gpt-2"}, Case{"starcoder2", kByteLevel, "starcoder"},
                    Case{"tekken", kByteLevel, "tekken"}, Case{"gpt-oss", kByteLevel, "gpt-4o"},
                    Case{"deepseek-llm", kByteLevel, "deepseek-llm"},
                    Case{"deepseek-v3", kByteLevel, "deepseek-v3"},
                    Case{"command-r", kByteLevel, "starcoder"}, Case{"bloom", kByteLevel, "bloom"},
                    Case{"bert-uncased", kWordPiece, "", true},
                    Case{"bert-cased", kWordPiece, "", true}),
    [](const auto& parameter) {
      std::string name = parameter.param.name;
      std::ranges::replace(name, '-', '_');
      return name;
    });

TEST(HfExportErrors, SayWhatGgufHasNoPlaceFor) {
  EXPECT_THAT(error_of(definition("t5")), HasSubstr("neither BPE nor WordPiece"));
  EXPECT_THAT(error_of(definition("word-level")), HasSubstr("neither BPE nor WordPiece"));
  EXPECT_THAT(error_of(definition("clip")), HasSubstr("'model.end_of_word_suffix' is"));
  EXPECT_THAT(error_of(definition("roberta")),
              HasSubstr("cuts texts in a way that GGUF has no name for"));
  EXPECT_THAT(error_of(definition("added-tokens")), HasSubstr("the normalizer is \"Lowercase\""));
  json changed = json::parse(definition("llama3"));
  changed["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = R"(\p{L}+|\p{N}{1,2}|\s)";
  EXPECT_THAT(error_of(changed.dump()), HasSubstr("cuts texts in a way that GGUF has no name for"));
  changed = json::parse(definition("llama2"));
  changed["model"]["byte_fallback"] = false;
  EXPECT_THAT(error_of(changed.dump()), HasSubstr("'model.byte_fallback' is false"));
  changed = json::parse(definition("llama2"));
  changed["normalizer"]["normalizers"].push_back({{"type", "Lowercase"}});
  EXPECT_THAT(error_of(changed.dump()), HasSubstr("the normalizer has a part \"Lowercase\""));
  EXPECT_THAT(error_of("{"), HasSubstr("tokenizer.json: "));
}

TEST(HfExport, TakesWhatTheConfigurationSays) {
  const auto exported = export_hf_tokenizer(
      definition("llama2"),
      R"({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "add_eos_token": true})",
      "tokenizer.json", {2, 7});
  ASSERT_TRUE(exported) << exported.error().message;
  EXPECT_EQ(exported->data.bos, 1);
  EXPECT_EQ(exported->data.eos, 2);
  EXPECT_EQ(exported->data.eot, 7);
  EXPECT_EQ(exported->data.add_bos, true);
  EXPECT_EQ(exported->data.add_eos, true);
  EXPECT_EQ(exported->data.add_space_prefix, true);
  EXPECT_EQ(exported->data.types[2], VocabularyData::TokenType::kControl);
}

TEST(HfExport, NotesWhatIsOtherwise) {
  const auto exported = export_hf_tokenizer(definition("qwen2"), "", "tokenizer.json", {});
  ASSERT_TRUE(exported) << exported.error().message;
  EXPECT_THAT(exported->notes, testing::Contains(HasSubstr("form NFC")));
}

}  // namespace
}  // namespace ridgeline
