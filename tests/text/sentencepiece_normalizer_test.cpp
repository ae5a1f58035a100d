#include "ridgeline/text/sentencepiece_normalizer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "ridgeline/text/sentencepiece_model.h"
#include "tests/text/vocabulary_files.h"

namespace ridgeline::testing {
namespace {

// The rules of tools/make_tokenizer_oracle.py as sentencepiece has compiled them.
std::string small_charsmap() {
  const auto data = read_sentencepiece_model(
      read_file(RIDGELINE_SOURCE_DIR "/tests/data/oracles/tokenizers/unigram.model"));
  return data->precompiled_charsmap;
}

PrecompiledCharsmap parse(const std::string& bytes) {
  auto map = PrecompiledCharsmap::parse(bytes);
  if (!map) throw std::runtime_error(map.error().message);
  return *std::move(map);
}

TEST(PrecompiledCharsmap, FindsTheLongestAndTheShortestMatch) {
  const PrecompiledCharsmap map = parse(small_charsmap());
  const auto longest = map.longest_match("e\u0301\u0327x");
  ASSERT_TRUE(longest);
  EXPECT_EQ(longest->length_bytes, 5u);
  EXPECT_EQ(longest->replacement, "\u0229\u0301");
  const auto shortest = map.shortest_match("e\u0301\u0327x");
  ASSERT_TRUE(shortest);
  EXPECT_EQ(shortest->length_bytes, 3u);
  EXPECT_EQ(shortest->replacement, "\u00e9");
  EXPECT_EQ(map.longest_match("\u200b")->replacement, "");
  EXPECT_FALSE(map.longest_match("e"));
  EXPECT_FALSE(map.longest_match("e\xCC"));
  EXPECT_FALSE(map.longest_match(""));
  EXPECT_FALSE(PrecompiledCharsmap().longest_match("e"));
}

TEST(SentencePieceNormalizer, SpacesAsTheOptionsSay) {
  using Options = SentencePieceNormalizer::Options;
  const auto normalize = [](const Options& options, std::string_view text) {
    return SentencePieceNormalizer(parse(small_charsmap()), options).normalize(text);
  };
  const Options all;
  EXPECT_EQ(normalize(all, "  a \t\u00a0b\u200b \n "), "\u2581a\u2581b");
  EXPECT_EQ(normalize(all, "\uff21\u00bd"), "\u2581A1\u20442");
  EXPECT_EQ(normalize(all, "\u2764\ufe0f  x"), "\u2581<3\u2581x");
  EXPECT_EQ(normalize(all, " \u3000"), "");
  EXPECT_EQ(normalize(all, ""), "");
  EXPECT_EQ(normalize(all, "a\xFF\xE4\xB8"), "\u2581a\xFF\xE4\xB8");
  EXPECT_EQ(normalize({.remove_extra_whitespaces = false}, "  a  b "),
            "\u2581\u2581\u2581a\u2581\u2581b\u2581");
  EXPECT_EQ(normalize({.add_space_prefix = false}, " a b"), "a\u2581b");
  EXPECT_EQ(normalize({.escape_whitespaces = false}, " a  b "), " a b");
}

TEST(PrecompiledCharsmap, SizesThatDoNotFitAreNamed) {
  const auto expect_error = [](const std::string& bytes, const std::string& part) {
    const auto map = PrecompiledCharsmap::parse(bytes);
    ASSERT_FALSE(map) << part;
    EXPECT_NE(map.error().message.find(part), std::string::npos) << map.error().message;
  };
  const std::string good = small_charsmap();
  EXPECT_TRUE(PrecompiledCharsmap::parse(""));
  expect_error("abc", "has 3 bytes; expected at least 4");
  expect_error(std::string(4, '\0'), "double array of 0");
  expect_error(std::string("\x05\0\0\0abcdefgh", 12), "double array of 5;");
  expect_error("\xFF\xFF\xFF\xFF" + good.substr(4), "double array of 4294967295;");
  expect_error(good.substr(0, good.size() - 1), "no end");
  expect_error(good + std::string(2000, 'x') + '\0', "a replacement of 2000 bytes");
}

// Whatever the array's bytes are, looking things up ends and stays within them.
TEST(PrecompiledCharsmap, DamagedArraysAreHarmless) {
  std::mt19937 random(7);
  const std::string good = small_charsmap();
  std::string text = "e\u0301\u0327 \uff21\u00bd\u2116 \u200b abc \xFF ";
  while (text.size() < 2000) text += text;
  for (int round = 0; round < 400; ++round) {
    std::string bytes = good;
    const std::size_t num_changes = round < 200 ? 20 : bytes.size();
    for (std::size_t i = 0; i < num_changes; ++i)
      bytes[4 + random() % (bytes.size() - 5)] = static_cast<char>(random());
    const auto map = PrecompiledCharsmap::parse(bytes);
    if (!map) continue;
    const std::string normalized = SentencePieceNormalizer(*map, {}).normalize(text);
    EXPECT_LE(normalized.size(), text.size() * 1025);
  }
}

}  // namespace
}  // namespace ridgeline::testing
