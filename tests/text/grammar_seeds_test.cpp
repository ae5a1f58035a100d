// The fuzzer's seeds (fuzz/grammar_fuzz.cpp), and cut-off and altered forms of them: each gives
// a grammar, whose masks agree with what it accepts, or a sentence.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "ridgeline/text/grammar/grammar.h"

namespace ridgeline {
namespace {

std::vector<std::string> read_seeds() {
  std::vector<std::string> seeds;
  for (const auto& entry :
       std::filesystem::directory_iterator(RIDGELINE_SOURCE_DIR "/fuzz/seeds/grammar")) {
    std::ifstream file(entry.path(), std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  std::ranges::sort(seeds);
  return seeds;
}

Result<Grammar::Ptr> compile(const std::string& seed) {
  const std::string source = seed.substr(1, seed.find('\0') - 1);
  if (seed[0] == 's') return Grammar::from_json_schema(source);
  if (seed[0] == 'r') return Grammar::from_regex(source);
  if (seed[0] == 'g') return Grammar::from_gbnf(source);
  return Grammar::free_text_until(source);
}

bool expect_an_end(const std::string& seed) {
  static const auto vocabulary = [] {
    std::vector<std::string> pieces;
    for (int i = 0; i < 256; ++i) pieces.emplace_back(1, static_cast<char>(i));
    for (const char* piece : {"\":", "\",\"", "{\"", "ab"}) pieces.emplace_back(piece);
    return std::make_shared<const GrammarVocabulary>(pieces, std::vector<TokenId>{},
                                                     std::vector<TokenId>{});
  }();
  if (seed.empty()) return false;
  const auto grammar = compile(seed);
  if (!grammar) {
    EXPECT_FALSE(grammar.error().message.empty());
    return false;
  }
  GrammarMatcher matcher(*grammar, vocabulary);
  std::vector<std::uint32_t> mask(vocabulary->mask_words());
  for (const char c : seed.substr(std::min(seed.find('\0'), seed.size() - 1) + 1)) {
    matcher.allowed(mask);
    for (TokenId t = 0; t < vocabulary->size(); ++t) {
      const bool is_set = (mask[static_cast<std::size_t>(t) / 32] >> (t % 32) & 1) != 0;
      EXPECT_EQ(GrammarMatcher(matcher).accept(t), is_set) << seed << " token " << t;
    }
    if (!matcher.accept(static_cast<unsigned char>(c))) break;
  }
  return true;
}

TEST(GrammarSeeds, AndTheirAlterations) {
  const std::vector<std::string> seeds = read_seeds();
  ASSERT_GE(seeds.size(), 10u);
  std::minstd_rand random(7);
  const auto below = [&random](std::size_t n) { return random() % n; };
  for (const std::string& seed : seeds) {
    EXPECT_TRUE(expect_an_end(seed)) << seed;
    for (int i = 0; i < 30; ++i) {
      expect_an_end(seed.substr(0, below(seed.size())));
      std::string altered = seed;
      for (std::size_t n = 1 + below(4); n > 0; --n) {
        const std::string& other = seeds[below(seeds.size())];
        const std::size_t from = below(other.size());
        altered.replace(1 + below(altered.size() - 1), below(12), other.substr(from, below(12)));
      }
      expect_an_end(altered);
    }
  }
}

}  // namespace
}  // namespace ridgeline
