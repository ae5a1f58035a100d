// Hostile files: cut short anywhere, with bytes turned, and inputs that fuzzers found.
// A parser that answers "yes" must have a file whose every byte it promised is there.

#include <gtest/gtest.h>

#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ridgeline/format/gguf.h"
#include "tests/format/gguf_bytes.h"

namespace ridgeline {
namespace {

namespace fs = std::filesystem;
using testing_gguf::Bytes;

/// Touches all that the file promises, in a copy without slack, so that a sanitizer
/// sees each byte out of bounds. Returns whether the file was accepted.
bool parse_and_touch(const std::string& content) {
  const auto copy = std::make_unique<char[]>(content.size());
  std::memcpy(copy.get(), content.data(), content.size());
  const auto file = parse_gguf(std::as_bytes(std::span(copy.get(), content.size())), "x.gguf");
  if (!file) {
    EXPECT_TRUE(file.error().message.starts_with("x.gguf: ")) << file.error().message;
    EXPECT_LT(file.error().message.size(), 600u);
    return false;
  }
  std::size_t sum = 0;
  for (const auto& [key, value] : file->metadata()) {
    sum += value.describe().size();
    if (const auto text = file->string(key); text && *text)
      for (const char c : **text) sum += static_cast<unsigned char>(c);
    if (const auto list = file->strings(key); list && *list)
      for (const std::string_view text : **list)
        sum += text.empty() ? 0u : static_cast<unsigned char>(text.back());
    if (const auto list = file->integers(key); list && *list) sum += (*list)->size();
    if (const auto list = file->numbers(key); list && *list) sum += (*list)->size();
  }
  for (const TensorView& tensor : file->tensors()) {
    EXPECT_EQ(tensor.bytes, row_bytes(tensor.dtype, tensor.elements()));
    for (std::size_t i = 0; i < tensor.bytes; ++i) sum += static_cast<std::size_t>(tensor.data[i]);
  }
  // Keeps the reads from being optimized away.
  EXPECT_NE(sum, ~std::size_t{0});
  return true;
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string small_valid_file() {
  Bytes b;
  b.header(2, 6);
  b.key("general.architecture", 8).text("llama");
  b.key("block_count", 4).put(std::uint32_t{2});
  b.key("epsilon", 6).put(1e-5f);
  b.key("add_bos", 7).put('\1');
  b.key("tokens", 9).put(std::uint32_t{8}).put(std::uint64_t{3}).text("<s>").text("a").text("");
  b.key("types", 9).put(std::uint32_t{5}).put(std::uint64_t{3}).put(3).put(1).put(1);
  b.tensor("a", {4, 3}, 0, 0).tensor("b", {32, 2}, 8, 64).pad();
  b.zeros(64 + 68);
  return b.string();
}

TEST(GgufCorruption, CutShortAtEveryLength) {
  const std::string whole = small_valid_file();
  ASSERT_TRUE(parse_and_touch(whole));
  for (std::size_t length = 0; length < whole.size(); ++length)
    ASSERT_FALSE(parse_and_touch(whole.substr(0, length))) << length;
}

TEST(GgufCorruption, EveryByteTurnedToExtremes) {
  const std::string whole = small_valid_file();
  for (std::size_t at = 0; at < whole.size(); ++at)
    for (const int byte : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
      std::string broken = whole;
      broken[at] = static_cast<char>(byte);
      parse_and_touch(broken);
    }
}

TEST(GgufCorruption, RandomBytesTurned) {
  const std::string whole = small_valid_file();
  std::mt19937 random(1);
  int refused = 0;
  constexpr int kRounds = 5000;
  for (int round = 0; round < kRounds; ++round) {
    std::string broken = whole;
    for (unsigned turned = 0; turned <= round % 5u; ++turned)
      broken[random() % broken.size()] = static_cast<char>(random());
    if (random() % 4 == 0) broken.resize(random() % broken.size());
    refused += !parse_and_touch(broken);
  }
  EXPECT_GT(refused, kRounds / 4);
  EXPECT_LT(refused, kRounds);
}

TEST(GgufCorruption, SeedsOfTheFuzzerAreValid) {
  int files = 0;
  for (const auto& entry :
       fs::directory_iterator(fs::path(RIDGELINE_SOURCE_DIR) / "fuzz/seeds/gguf")) {
    EXPECT_TRUE(parse_and_touch(read_file(entry.path()))) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 1);
}

TEST(GgufSharedData, FuzzersInputsAreAnsweredWithoutACrash) {
  const fs::path folder = fs::path(RIDGELINE_SHARED_DATA) / "gguf-fuzz";
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is absent";
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    parse_and_touch(read_file(entry.path()));
    ++files;
  }
  EXPECT_GT(files, 200);
}

TEST(GgufSharedData, ModelsAndVocabulariesOpen) {
  const fs::path root = RIDGELINE_SHARED_DATA;
  if (!fs::exists(root / "models"))
    GTEST_SKIP() << root / "models"
                 << " is absent";
  int models = 0, vocabularies = 0;
  for (const char* folder : {"models", "tokenizers"}) {
    for (const auto& entry : fs::directory_iterator(root / folder)) {
      if (entry.path().extension() != ".gguf") continue;
      const auto file = open_gguf(entry.path());
      ASSERT_TRUE(file) << file.error().message;
      EXPECT_TRUE(file->string("general.architecture").value().has_value()) << entry.path();
      const auto tokens = file->strings("tokenizer.ggml.tokens");
      ASSERT_TRUE(tokens && *tokens) << entry.path();
      EXPECT_GT((*tokens)->size(), 100u);
      ++(file->tensors().empty() ? vocabularies : models);
      for (const TensorView& tensor : file->tensors()) EXPECT_NE(tensor.data, nullptr);
    }
  }
  EXPECT_GE(models, 3);
  EXPECT_GE(vocabularies, 6);
}

// The vocabulary of Llama 3: 5 ms of CPU time, most of it first touches of memory. The
// bound leaves room for sanitizers.
TEST(GgufMetadata, ALargeVocabularyIsReadAtOnce) {
  constexpr std::uint64_t kTokens = 128'256, kMerges = 280'147;
  Bytes b;
  b.header(0, 3);
  b.key("tokenizer.ggml.tokens", 9).put(std::uint32_t{8}).put(kTokens);
  for (std::uint64_t i = 0; i < kTokens; ++i) b.text("token" + std::to_string(i));
  b.key("tokenizer.ggml.token_type", 9).put(std::uint32_t{5}).put(kTokens);
  for (std::uint64_t i = 0; i < kTokens; ++i) b.put(1);
  b.key("tokenizer.ggml.merges", 9).put(std::uint32_t{8}).put(kMerges);
  for (std::uint64_t i = 0; i < kMerges; ++i) b.text("left right" + std::to_string(i));

  const std::clock_t start = std::clock();
  const auto file = parse_gguf(b.view(), "x.gguf");
  const double cpu_ms = 1e3 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file->strings("tokenizer.ggml.tokens"))->back(), "token128255");
  EXPECT_EQ((*file->strings("tokenizer.ggml.merges"))->size(), kMerges);
  EXPECT_LT(cpu_ms, 200);
}

}  // namespace
}  // namespace ridgeline
