// The fuzzer's seeds (fuzz/jinja_fuzz.cpp), and cut-off and altered forms of them: none
// crashes, and each ends.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "ridgeline/text/chat_template.h"

namespace ridgeline {
namespace {

std::vector<std::string> read_seeds() {
  std::vector<std::string> seeds;
  for (const auto& entry :
       std::filesystem::directory_iterator(RIDGELINE_SOURCE_DIR "/fuzz/seeds/jinja")) {
    std::ifstream file(entry.path(), std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  std::ranges::sort(seeds);
  return seeds;
}

/// A prompt, or a sentence.
void expect_an_end(const std::string& source) {
  const auto parsed = ChatTemplate::parse(source, "<s>", "</s>", "seed");
  if (!parsed) {
    EXPECT_TRUE(parsed.error().message.starts_with("seed")) << parsed.error().message;
    return;
  }
  ChatInput input;
  input.messages = R"([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}])";
  jinja::Limits limits;
  limits.steps = 100'000;
  const auto text = parsed->render(input, limits);
  EXPECT_TRUE(text || text.error().message.starts_with("seed")) << text.error().message;
}

TEST(JinjaSeeds, AndTheirAlterations) {
  const std::vector<std::string> seeds = read_seeds();
  ASSERT_GE(seeds.size(), 5u);
  std::minstd_rand random(7);
  const auto below = [&random](std::size_t n) { return random() % n; };
  for (const std::string& seed : seeds) {
    expect_an_end(seed);
    for (int i = 0; i < 100; ++i) {
      expect_an_end(seed.substr(0, below(seed.size())));
      std::string altered = seed;
      for (std::size_t n = 1 + below(4); n > 0; --n) {
        const std::string& other = seeds[below(seeds.size())];
        const std::size_t from = below(other.size());
        altered.replace(below(altered.size()), below(12), other.substr(from, below(12)));
      }
      expect_an_end(altered);
    }
  }
}

}  // namespace
}  // namespace ridgeline
