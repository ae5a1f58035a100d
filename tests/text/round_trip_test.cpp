#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ridgeline/text/pre_tokenizer_table.h"
#include "tests/text/small_vocabularies.h"
#include "tests/text/vocabulary_files.h"

namespace ridgeline::testing {
namespace {

// Random scalar values of every length, with what tokenizers stumble over: runs of
// white space, combining marks, emoji sequences, digits, embedded NULs, what special
// tokens look like.
std::string random_unicode(std::mt19937& random, bool with_invalid) {
  const char32_t spaces[] = {' ', '\t', '\n', '\r', 0xB, 0x85, 0xA0, 0x2003, 0x2028, 0x3000};
  const char* const snippets[] = {
      "<s>", "</s>", "<|endoftext|>", "'ll", "'S", " the", "\U0001f468\u200d\U0001f469"};
  std::string text;
  const auto below = [&random](unsigned n) { return static_cast<char32_t>(random() % n); };
  for (char32_t i = 0, n = below(40); i < n; ++i) {
    switch (below(with_invalid ? 9 : 8)) {
      case 0:
        append_utf8(below(0x80), text);
        break;
      case 1:
        append_utf8('a' + below(26), text);
        break;
      case 2:
        append_utf8(0x80 + below(0x780), text);
        break;
      case 3:
        append_utf8(0x800 + below(0xD000), text);
        break;
      case 4:
        append_utf8(0x10000 + below(0x100000), text);
        break;
      case 5:
        append_utf8(0x300 + below(0x70), text);
        break;
      case 6:
        for (char32_t k = 0, run = 1 + below(6); k < run; ++k) append_utf8(spaces[below(10)], text);
        break;
      case 7:
        text += snippets[below(7)];
        break;
      default:
        text += static_cast<char>(0x80 + below(0x80));
    }
  }
  return text;
}

void expect_round_trips(const Tokenizer& tokenizer, bool with_invalid) {
  std::mt19937 random(17);
  for (int i = 0; i < 1500; ++i) {
    const std::string text = random_unicode(random, with_invalid);
    ASSERT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
    // A control token takes its own text with it; with both parsed and rendered again
    // nothing is lost.
    ASSERT_EQ(
        tokenizer.decode(
            tokenizer.encode(text, {.parse_special = true, .add_bos = false, .add_eos = false}),
            true),
        text);
  }
}

TEST(RoundTrip, SmallVocabulariesGiveAnyBytesBack) {
  expect_round_trips(*make_tokenizer(small_sentencepiece()), true);
  expect_round_trips(*make_tokenizer(small_unigram()), true);
  for (const PreTokenizerRow& row : pre_tokenizer_table()) {
    expect_round_trips(*make_tokenizer(small_byte_level(std::string(row.names.front()))), true);
  }
}

TEST(RoundTrip, ManyThreadsShareOneTokenizer) {
  for (const VocabularyData& data : {small_sentencepiece(), small_byte_level("deepseek-coder")}) {
    const auto tokenizer = make_tokenizer(data);
    std::vector<std::thread> threads;
    std::atomic<int> num_wrong = 0;
    for (unsigned seed = 0; seed < 4; ++seed) {
      threads.emplace_back([&tokenizer, &num_wrong, seed] {
        std::mt19937 random(seed);
        for (int i = 0; i < 200; ++i) {
          const std::string text = random_unicode(random, true);
          if (tokenizer->decode(tokenizer->encode(text)) != text) ++num_wrong;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(num_wrong, 0);
  }
}

class RoundTripShared : public ::testing::TestWithParam<const char*> {};

TEST_P(RoundTripShared, RealVocabulariesGiveAnyTextBack) {
  RIDGELINE_TOKENIZER_OR_SKIP(tokenizer, GetParam());
  expect_round_trips(*tokenizer, false);
}

INSTANTIATE_TEST_SUITE_P(All, RoundTripShared, ::testing::ValuesIn(kGgufVocabularies),
                         name_of_vocabulary);

}  // namespace
}  // namespace ridgeline::testing
