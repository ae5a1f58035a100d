#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "ridgeline/text/pre_tokenizer_table.h"
#include "tests/text/small_vocabularies.h"
#include "tests/text/vocabulary_files.h"

// How long encoding takes. Processor time of this thread, so that what else runs on
// the machine counts little.
namespace ridgeline::testing {
namespace {

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

class ProseSpeed : public ::testing::TestWithParam<const char*> {};

TEST_P(ProseSpeed, IsAtLeastTenMegabytesPerSecond) {
  if (!kMeasured) GTEST_SKIP() << "not an optimized build";
  RIDGELINE_TOKENIZER_OR_SKIP(tokenizer, GetParam());
  for (const char* file : {"text/wiki.test.raw", "corpus/valid.txt"}) {
    const std::string text = read_file(shared_data() / file);
    double best_s = 1e9;
    for (int round = 0; round < 3; ++round) {
      const double start_s = thread_seconds();
      const std::vector<TokenId> ids = tokenizer->encode(text);
      best_s = std::min(best_s, thread_seconds() - start_s);
      EXPECT_TRUE(tokenizer->decode(ids) == text);
    }
    const double megabytes_per_s = static_cast<double>(text.size()) / best_s * 1e-6;
    std::printf("%s, %s: %.1f MB/s\n", GetParam(), file, megabytes_per_s);
    EXPECT_GE(megabytes_per_s, 10) << file;
  }
}

// Texts that offer no place to cut, or too many: quadratic time would take minutes.
std::vector<std::pair<const char*, std::string>> adversarial_texts(std::size_t size) {
  std::mt19937 random(1);
  std::string letters, alphanumeric, bytes, han;
  while (letters.size() < size) letters += "etaoinshrdlu"[random() % 12];
  while (alphanumeric.size() < size)
    alphanumeric += "abcdefghijklmnopqrstuvwxyz0123456789_-"[random() % 38];
  while (bytes.size() < size) bytes += static_cast<char>(random() % 256);
  while (han.size() < size) append_utf8(0x4E00 + static_cast<char32_t>(random() % 2000), han);
  return {{"one letter", std::string(size, 'a')},
          {"spaces", std::string(size, ' ') + "x"},
          {"line feeds", std::string(size, '\n')},
          {"letters", letters},
          {"letters and digits", alphanumeric},
          {"bytes", bytes},
          {"han", han}};
}

void expect_fast(const Tokenizer& tokenizer, std::size_t size) {
  for (const auto& [what, text] : adversarial_texts(size)) {
    const double start_s = thread_seconds();
    const std::vector<TokenId> ids = tokenizer.encode(text);
    EXPECT_LT(thread_seconds() - start_s, kMeasured ? 4 : 40) << what;
    if (utf8_valid_prefix_bytes(text) == text.size()) {
      EXPECT_TRUE(tokenizer.decode(ids) == text) << what;
    }
  }
}

class AdversarialSpeed : public ::testing::TestWithParam<const char*> {};

TEST_P(AdversarialSpeed, NothingIsQuadratic) {
  RIDGELINE_TOKENIZER_OR_SKIP(tokenizer, GetParam());
  expect_fast(*tokenizer, std::size_t{1} << (kMeasured ? 18 : 16));
}

INSTANTIATE_TEST_SUITE_P(All, ProseSpeed, ::testing::ValuesIn(kVocabularies), name_of_vocabulary);
INSTANTIATE_TEST_SUITE_P(All, AdversarialSpeed, ::testing::ValuesIn(kGgufVocabularies),
                         name_of_vocabulary);

TEST(SpeedOfSmallVocabularies, AMegabyteOfAnything) {
  const std::size_t size = std::size_t{1} << (kMeasured ? 20 : 16);
  expect_fast(*make_tokenizer(small_sentencepiece()), size);
  expect_fast(*make_tokenizer(small_unigram()), size);
  expect_fast(*make_tokenizer(small_byte_level("deepseek-llm")), size);
  for (const PreTokenizerRow& row : pre_tokenizer_table()) {
    expect_fast(*make_tokenizer(small_byte_level(std::string(row.names.front()))), size / 32);
  }
}

// Special tokens that begin as each other do, in a text that begins as they do.
TEST(SpeedOfSmallVocabularies, ThousandsOfOverlappingSpecialTokens) {
  VocabularyData data = small_byte_level();
  for (std::size_t length = 2; length < 1000; ++length) {
    add_token(data, std::string(length, '<') + "|", Type::kUserDefined);
    add_token(data, std::string(length, 'a') + "!", Type::kUserDefined);
  }
  const auto tokenizer = make_tokenizer(std::move(data));
  const std::string text = std::string(1 << 19, '<') + std::string(1 << 19, 'a');
  const double start_s = thread_seconds();
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  EXPECT_LT(thread_seconds() - start_s, kMeasured ? 4 : 40);
}

// A vocabulary of 'a', 'aa', 'aaa', ...: every token is made in as many ways as it is
// long.
TEST(SpeedOfSmallVocabularies, TokensThatAreAllPrefixesOfEachOther) {
  VocabularyData data = small_sentencepiece();
  for (std::size_t length = 2; length < 1000; ++length) {
    add_token(data, std::string(length, 'a'), Type::kNormal, static_cast<float>(length));
  }
  const double start_s = thread_seconds();
  const auto tokenizer = make_tokenizer(std::move(data));
  const std::string text(200'000, 'a');
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  EXPECT_LT(thread_seconds() - start_s, kMeasured ? 4 : 40);
}

}  // namespace
}  // namespace ridgeline::testing
