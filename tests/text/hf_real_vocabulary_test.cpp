#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "ridgeline/text/hf_tokenizer.h"
#include "tests/text/vocabulary_files.h"

// Real vocabularies as tokenizer.json: the same ids as from GGUF, in no more time.
namespace ridgeline::testing {
namespace {

using nlohmann::json;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(NDEBUG)
constexpr bool kMeasured = false;
#else
constexpr bool kMeasured = true;
#endif

double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

json split(const char* regex) {
  return {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}};
}

json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", use_regex}};
}

json pre_tokenizer(const std::string& name) {
  if (name == "gpt-2") return byte_level(true);
  const std::string digits = name == "qwen2" ? R"(\p{N})" : R"(\p{N}{1,3})";
  const std::string regex = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)" + digits +
                            R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  return {{"type", "Sequence"}, {"pretokenizers", {split(regex.c_str()), byte_level(false)}}};
}

// As transformers converts SentencePiece's BPE: every way to cut a token into two others,
// best score first.
std::vector<std::string> merges_from_scores(const VocabularyData& data) {
  std::unordered_map<std::string_view, std::size_t> ids;
  for (std::size_t i = 0; i < data.tokens.size(); ++i) ids.emplace(data.tokens[i], i);
  std::vector<std::tuple<float, std::size_t, std::size_t, std::string>> merges;
  for (std::size_t i = 0; i < data.tokens.size(); ++i) {
    const std::string_view token = data.tokens[i];
    if (data.types[i] != VocabularyData::TokenType::kNormal) continue;
    for (std::size_t cut = 1; cut < token.size(); ++cut) {
      const auto left = ids.find(token.substr(0, cut)), right = ids.find(token.substr(cut));
      if (left == ids.end() || right == ids.end()) continue;
      merges.emplace_back(-data.scores[i], left->second, right->second,
                          std::string(token.substr(0, cut)) + " " + std::string(token.substr(cut)));
    }
  }
  std::sort(merges.begin(), merges.end());
  std::vector<std::string> texts;
  for (auto& merge : merges) texts.push_back(std::move(std::get<3>(merge)));
  return texts;
}

std::string tokenizer_json(const std::string& name) {
  const auto folder = shared_data() / "tokenizers";
  VocabularyData data;
  if (name == "llama-bpe") {
    data = from_tiktoken(folder / "llama3.tiktoken", name,
                         {"<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"});
  } else if (name == "qwen2") {
    data = from_tiktoken(folder / "qwen2.tiktoken", name,
                         {"<|endoftext|>", "<|im_start|>", "<|im_end|>"});
  } else {
    data = GgufVocabularyReader(folder / ("ggml-vocab-" + name + ".gguf")).read();
  }
  json model = {{"type", "BPE"}, {"vocab", json::object()}, {"merges", data.merges}};
  json file = {{"added_tokens", json::array()}};
  for (std::size_t i = 0; i < data.tokens.size(); ++i) {
    using Type = VocabularyData::TokenType;
    const bool is_special = data.types[i] == Type::kControl || data.types[i] == Type::kUnknown;
    model["vocab"][data.tokens[i]] = i;
    if (is_special) {
      file["added_tokens"].push_back({{"id", i}, {"content", data.tokens[i]}, {"special", true}});
    }
  }
  if (data.kind == VocabularyData::Kind::kSentencePieceBpe) {
    model.update({{"merges", merges_from_scores(data)},
                  {"unk_token", "<unk>"},
                  {"fuse_unk", true},
                  {"byte_fallback", true}});
    file.update(json::parse(R"({"normalizer": {"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
      "decoder": {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
        {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}})"));
  } else {
    file["pre_tokenizer"] = pre_tokenizer(name);
    file["decoder"] = {{"type", "ByteLevel"}};
    if (name == "llama-bpe") model["ignore_merges"] = true;
    if (name == "qwen2") file["normalizer"] = {{"type", "NFC"}};
  }
  file["model"] = std::move(model);
  return file.dump();
}

class HfRealVocabulary : public ::testing::TestWithParam<const char*> {};

TEST_P(HfRealVocabulary, SameIdsAsFromGguf) {
  const std::string name = GetParam();
  RIDGELINE_TOKENIZER_OR_SKIP(gguf, name);
  const std::string definition = tokenizer_json(name);
  double load_s = 1e9;
  std::unique_ptr<Tokenizer> tokenizer;
  for (int round = 0; round < (kMeasured ? 3 : 1); ++round) {
    const double start_s = thread_seconds();
    auto loaded = load_hf_tokenizer(definition, "", name);
    load_s = std::min(load_s, thread_seconds() - start_s);
    ASSERT_TRUE(loaded) << loaded.error().message;
    tokenizer = *std::move(loaded);
  }
  constexpr Tokenizer::EncodeOptions kPlain = {.add_bos = false, .add_eos = false};
  // llama.cpp's vectors.
  const auto base = shared_data() / "tokenizers" / ("ggml-vocab-" + name + ".gguf");
  const std::string separator = "\n__ggml_vocab_test__\n";
  const std::string cases = read_file(base.string() + ".inp");
  std::istringstream expected(read_file(base.string() + ".out"));
  for (std::size_t at = 0; at < cases.size();) {
    const std::size_t end = std::min(cases.find(separator, at), cases.size());
    std::string line;
    ASSERT_TRUE(std::getline(expected, line));
    std::istringstream numbers(line);
    std::vector<TokenId> ids;
    for (TokenId id = 0; numbers >> id;) ids.push_back(id);
    const std::string text = cases.substr(at, end - at);
    EXPECT_EQ(tokenizer->encode(text, kPlain), ids) << text;
    EXPECT_EQ(tokenizer->decode(ids), text);
    at = end + separator.size();
  }

  const std::string text = read_file(shared_data() / "text/wiki.test.raw");
  double best_s = 1e9, gguf_s = 1e9;
  for (int round = 0; round < (kMeasured ? 3 : 1); ++round) {
    double start_s = thread_seconds();
    const std::vector<TokenId> ids = tokenizer->encode(text, kPlain);
    best_s = std::min(best_s, thread_seconds() - start_s);
    start_s = thread_seconds();
    const std::vector<TokenId> gguf_ids = gguf->encode(text, kPlain);
    gguf_s = std::min(gguf_s, thread_seconds() - start_s);
    EXPECT_TRUE(ids == gguf_ids);
    EXPECT_TRUE(tokenizer->decode(ids) == text);
  }
  const double megabytes = static_cast<double>(text.size()) * 1e-6;
  std::printf("%s: %.1f MB of tokenizer.json in %.0f ms; %.1f MB/s, from GGUF %.1f MB/s\n",
              name.c_str(), static_cast<double>(definition.size()) * 1e-6, load_s * 1e3,
              megabytes / best_s, megabytes / gguf_s);
  if (!kMeasured) return;
  EXPECT_LT(load_s, 1.5);
  EXPECT_GT(megabytes / best_s, 5);
}

INSTANTIATE_TEST_SUITE_P(All, HfRealVocabulary,
                         ::testing::Values("llama-spm", "gpt-2", "llama-bpe", "qwen2"),
                         name_of_vocabulary);

}  // namespace
}  // namespace ridgeline::testing
