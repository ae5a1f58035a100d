#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>

#include "ridgeline/text/grammar/grammar.h"
#include "tests/text/vocabulary_files.h"

namespace ridgeline {
namespace {

namespace fs = std::filesystem;

// Of this thread: the machine may be busy with other tests.
double cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

double quantile(std::vector<double>& times, double q) {
  const auto at = static_cast<std::size_t>(q * static_cast<double>(times.size() - 1));
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(at), times.end());
  return times[at];
}

// Every valid instance is written token by token with a vocabulary of 152,000, and each of its
// tokens is allowed. RIDGELINE_GRAMMAR_ALL=1 takes all schemas, else every sixteenth.
TEST(GrammarSpeed, MasksOfMaskbench) {
  const fs::path data = RIDGELINE_SHARED_DATA;
  if (!fs::exists(data / "json-schema/maskbench") ||
      !fs::exists(data / "tokenizers/qwen2.tiktoken")) {
    GTEST_SKIP() << "needs ../shared/data/json-schema/maskbench and tokenizers/qwen2.tiktoken";
  }
  auto read = read_tiktoken(testing::read_file(data / "tokenizers/qwen2.tiktoken"), "qwen2",
                            {"<|endoftext|>", "<|im_start|>", "<|im_end|>"});
  ASSERT_TRUE(read.has_value()) << read.error().message;
  const auto tokenizer = Tokenizer::create(std::move(*read));
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  const auto built = cpu_us();
  const auto vocabulary = std::make_shared<const GrammarVocabulary>(**tokenizer);
  std::printf("trie of %d tokens: %.0f ms\n", vocabulary->size(), (cpu_us() - built) / 1000);
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(data / "json-schema/maskbench")) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  const std::size_t stride = std::getenv("RIDGELINE_GRAMMAR_ALL") != nullptr ? 1 : 16;
  std::vector<double> mask_us, accept_us;
  std::vector<std::uint32_t> mask(vocabulary->mask_words());
  for (std::size_t i = 0; i < files.size(); i += stride) {
    const auto file = nlohmann::json::parse(testing::read_file(files[i]));
    const auto grammar = Grammar::from_json_schema(file.at("schema").dump());
    if (!grammar) continue;
    double slowest = 0;
    for (const auto& test : file.at("tests")) {
      if (!test.at("valid").get<bool>()) continue;
      GrammarMatcher matcher(*grammar, vocabulary);
      for (const TokenId token : (*tokenizer)->encode(test.at("data").dump())) {
        auto begin = cpu_us();
        matcher.allowed(mask);
        mask_us.push_back(cpu_us() - begin);
        slowest = std::max(slowest, mask_us.back());
        const bool allowed = (mask[static_cast<std::size_t>(token) / 32] >> (token % 32) & 1) != 0;
        begin = cpu_us();
        const bool accepted = matcher.accept(token);
        accept_us.push_back(cpu_us() - begin);
        ASSERT_EQ(allowed, accepted) << files[i] << " " << (*tokenizer)->piece(token);
        if (!accepted) {  // two names of an object within one token
          ASSERT_TRUE(matcher.accept_text((*tokenizer)->piece(token))) << files[i];
        }
      }
      EXPECT_TRUE(matcher.may_end()) << files[i];
    }
    if (slowest > 20000) std::printf("%s: %.1f ms\n", files[i].filename().c_str(), slowest / 1000);
  }
  std::printf(
      "%zu tokens: a mask takes %.1f us in the median, P90 %.0f, P99 %.0f, at most %.0f; "
      "accepting %.1f us in the median, P99 %.0f\n",
      mask_us.size(), quantile(mask_us, 0.5), quantile(mask_us, 0.9), quantile(mask_us, 0.99),
      quantile(mask_us, 1), quantile(accept_us, 0.5), quantile(accept_us, 0.99));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(quantile(mask_us, 0.5), 200.0);
#endif
}

}  // namespace
}  // namespace ridgeline
