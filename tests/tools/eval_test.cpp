#include "ridgeline/tools/eval.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "tests/support/random_model.h"

namespace ridgeline {
namespace {

using testing::HasSubstr;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::unique_ptr<Engine> load(const std::string& path, std::int64_t context, DType kv_type,
                             ActivationPrecision activations = ActivationPrecision::kFast) {
  EngineOptions options;
  options.backend.threads = 2;
  options.backend.activations = activations;
  options.context = context;
  options.kv_type = kv_type;
  auto engine = Engine::load(path, options);
  EXPECT_TRUE(engine) << engine.error().message;
  return engine ? std::move(*engine) : nullptr;
}

// ../shared/data/README.md: computed in float32 by another implementation.
TEST(Eval, SixtyStoriesCostWhatTheyShould) {
  const std::string folder = RIDGELINE_SHARED_DATA "/models/";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is not there";
  auto engine = load(folder + "stories260k.gguf", 512, DType::kF32);
  ASSERT_NE(engine, nullptr);
  const std::string name = folder + "stories260K_tinystories60.tok";
  auto windows = token_windows(read_file(name), name, engine->config().vocab_size, 512);
  ASSERT_TRUE(windows) << windows.error().message;
  EXPECT_EQ(windows->size(), 60u);
  auto result = evaluate(*engine, *windows, {});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_NEAR(result->nll, 1.4219, 0.00005);
  EXPECT_NEAR(result->perplexity, 4.145, 0.0005);
}

TEST(Eval, CountsWhatItScored) {
  const std::string path = test::temporary_path("eval.gguf");
  test::write_random_model(path, {});
  auto engine = load(path, 64, DType::kF16);
  ASSERT_NE(engine, nullptr);
  std::vector<EvalWindow> windows{{{1, 7, 8, 9, 10}, 1}, {{1, 9, 200, 13}, 3}};
  auto result = evaluate(*engine, windows, {});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->predicted_tokens, 5);
  EXPECT_EQ(result->windows, 2);
  EXPECT_NEAR(result->perplexity, std::exp(result->nll), 1e-9 * result->perplexity);
  windows[0].tokens.resize(65, 5);
  EXPECT_THAT(evaluate(*engine, windows, {}).error().message, HasSubstr("65 tokens does not fit"));
  std::remove(path.c_str());
}

TEST(Eval, TokenFilesAreChecked) {
  EXPECT_THAT(token_windows("3 1 2\n", "f", 10, 512).error().message,
              HasSubstr("f:1: the count is 3"));
  EXPECT_THAT(token_windows("2 1 2\n2 1 x\n", "f", 10, 512).error().message,
              HasSubstr("f:2: 'x' is not a number"));
  EXPECT_THAT(token_windows("2 1 10\n", "f", 10, 512).error().message, HasSubstr("token id 10"));
  EXPECT_THAT(token_windows("\n\n", "f", 10, 512).error().message, HasSubstr("no sequences"));
  const auto windows = token_windows("3 1 2 3\n\n2 4 5", "f", 10, 512);
  ASSERT_TRUE(windows);
  EXPECT_EQ((*windows)[0].tokens, (std::vector<TokenId>{1, 2, 3}));
  EXPECT_EQ((*windows)[1].tokens, (std::vector<TokenId>{4, 5}));
  EXPECT_EQ(token_windows("3 1 2 3", "f", 10, 2)->at(0).tokens, (std::vector<TokenId>{1, 2}));
}

}  // namespace
}  // namespace ridgeline
