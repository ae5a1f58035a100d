#include "ridgeline/text/hf_tokenizer.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ridgeline/text/utf8.h"

// Against Hugging Face's tokenizers library (tools/make_hf_tokenizer_oracle.py). Another
// folder that the script wrote, with more texts, may be named in RIDGELINE_HF_ORACLE.
namespace ridgeline::testing {
namespace {

using nlohmann::json;

std::filesystem::path oracle_folder() {
  const char* other = std::getenv("RIDGELINE_HF_ORACLE");
  if (other != nullptr) return other;
  return std::filesystem::path(RIDGELINE_SOURCE_DIR) / "tests/data/oracles/hf_tokenizers";
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

json read_oracle(const std::string& name) { return json::parse(read_file(oracle_folder() / name)); }

const json& texts() {
  static const json all = read_oracle("texts.json");
  return all;
}

// The library's texts are always UTF-8: what is none it gives as U+FFFD.
std::string lossy(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const Utf8Step step = utf8_step(bytes);
    text += step.status == Utf8Step::Status::kCharacter ? bytes.substr(0, step.length_bytes)
                                                        : kReplacementUtf8;
    bytes.remove_prefix(step.length_bytes);
  }
  return text;
}

std::string short_hash(std::string_view bytes) {
  std::uint64_t hash = 0xCBF29CE484222325u;  // FNV-1a
  for (const char c : bytes) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  }
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
  return std::string(digits).substr(0, 4);
}

std::string short_hash(const std::vector<TokenId>& ids) {
  std::string bytes;
  for (const TokenId id : ids) {
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>((id >> shift) & 0xFF);
  }
  return short_hash(bytes);
}

std::unique_ptr<Tokenizer> load(std::string_view definition) {
  auto tokenizer = load_hf_tokenizer(definition, "", "tokenizer.json");
  if (!tokenizer) {
    ADD_FAILURE() << tokenizer.error().message;
    return nullptr;
  }
  return *std::move(tokenizer);
}

constexpr Tokenizer::EncodeOptions kBetween = {
    .parse_special = true, .add_bos = false, .add_eos = false};

// Token by token the same text comes out as at once.
void expect_same_stream(const Tokenizer& tokenizer, const std::vector<TokenId>& ids, bool special,
                        const std::string& text) {
  StreamingDetokenizer stream(tokenizer, special);
  std::string streamed;
  for (const TokenId id : ids) streamed += stream.push(id);
  streamed += stream.finish();
  EXPECT_EQ(streamed, text);
}

class HfTokenizer : public ::testing::TestWithParam<std::string> {};

TEST_P(HfTokenizer, DoesAsTheLibraryDoes) {
  const json expected = read_oracle(GetParam() + ".expected.json");
  const auto tokenizer = load(read_file(oracle_folder() / (GetParam() + ".tokenizer.json")));
  ASSERT_NE(tokenizer, nullptr);
  const json& read = texts()["read"];
  for (std::size_t i = 0; i < read.size(); ++i) {
    const auto text = read[i].get<std::string>();
    SCOPED_TRACE("text " + std::to_string(i) + ": " + json(text).dump());
    const auto ids = expected["ids"][i].get<std::vector<TokenId>>();
    EXPECT_EQ(tokenizer->encode(text, kBetween), ids);
    for (const bool special : {false, true}) {
      const json& stored = expected[special ? "decoded_all" : "decoded"][i];
      const std::string decoded = stored.is_null() ? text : stored.get<std::string>();
      EXPECT_EQ(lossy(tokenizer->decode(ids, special)), decoded);
      expect_same_stream(*tokenizer, ids, special, decoded);
    }
    const auto unparsed = expected["unparsed"].find(std::to_string(i));
    if (unparsed != expected["unparsed"].end() && unparsed->is_null()) continue;
    EXPECT_EQ(tokenizer->encode(text, {.add_bos = false, .add_eos = false}),
              unparsed == expected["unparsed"].end() ? ids : unparsed->get<std::vector<TokenId>>());
  }
  EXPECT_EQ(tokenizer->encode("Hello"), expected["full"].get<std::vector<TokenId>>());
}

TEST_P(HfTokenizer, DoesAsTheLibraryDoesWithRandomTexts) {
  const auto hashes = read_oracle(GetParam() + ".expected.json")["hashes"].get<std::string>();
  const auto tokenizer = load(read_file(oracle_folder() / (GetParam() + ".tokenizer.json")));
  ASSERT_NE(tokenizer, nullptr);
  const json& random = texts()["random"];
  ASSERT_EQ(hashes.size(), random.size() * 8);
  for (std::size_t i = 0; i < random.size(); ++i) {
    const auto text = random[i].get<std::string>();
    const std::vector<TokenId> ids = tokenizer->encode(text, kBetween);
    EXPECT_EQ(short_hash(ids), hashes.substr(i * 8, 4)) << i << ": " << json(text).dump();
    EXPECT_EQ(short_hash(lossy(tokenizer->decode(ids))), hashes.substr(i * 8 + 4, 4))
        << i << ": " << json(text).dump();
  }
}

std::vector<std::string> names() {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(oracle_folder())) {
    const std::string file = entry.path().filename().string();
    const std::size_t end = file.find(".expected.json");
    if (end != std::string::npos) found.push_back(file.substr(0, end));
  }
  std::sort(found.begin(), found.end());
  return found;
}

INSTANTIATE_TEST_SUITE_P(All, HfTokenizer, ::testing::ValuesIn(names()),
                         [](const ::testing::TestParamInfo<std::string>& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// A model of bytes alone, with a mark on all but the first of a word: its ids tell the
// words that it is given, character by character.
json telling_definition(const json& normalizer, const json& pre_tokenizer) {
  json vocab = json::object();
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", static_cast<unsigned>(byte));
    vocab[text] = byte;
  }
  return {{"normalizer", normalizer},
          {"pre_tokenizer", pre_tokenizer},
          {"model",
           {{"type", "BPE"},
            {"vocab", vocab},
            {"merges", json::array()},
            {"byte_fallback", true},
            {"continuing_subword_prefix", "~"}}}};
}

TEST(HfComponents, DoAsTheLibraryDoes) {
  std::vector<std::string> all;
  for (const char* kind : {"read", "random"}) {
    for (const json& text : texts()[kind]) all.push_back(text.get<std::string>());
  }
  const json components = read_oracle("components.json");
  ASSERT_GT(components.size(), 50u);
  for (const json& component : components) {
    const json definition = telling_definition(component["normalizer"], component["pre_tokenizer"]);
    SCOPED_TRACE(component["normalizer"].dump() + component["pre_tokenizer"].dump());
    const auto tokenizer = load(definition.dump());
    ASSERT_NE(tokenizer, nullptr);
    const auto hashes = component["hashes"].get<std::string>();
    ASSERT_EQ(hashes.size(), all.size() * 4);
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(short_hash(tokenizer->encode(all[i], kBetween)), hashes.substr(i * 4, 4))
          << "text " << i << ": " << json(all[i]).dump();
    }
  }
}

}  // namespace
}  // namespace ridgeline::testing
