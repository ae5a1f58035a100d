// The loop: requests in, events out.

#include "ridgeline/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "tests/support/random_model.h"
#include "tests/support/recipe_model.h"

namespace ridgeline {
namespace {

using testing::HasSubstr;

class EngineTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = test::temporary_path("engine.gguf");
    test::write_random_model(path_, {.dtype = DType::kQ8_0});
  }
  void TearDown() override { std::remove(path_.c_str()); }

  std::unique_ptr<Engine> load(EngineOptions options = {}) {
    options.backend.threads = 2;
    if (options.context == 0) options.context = 256;
    auto engine = Engine::load(path_, options);
    EXPECT_TRUE(engine) << engine.error().message;
    return engine ? std::move(*engine) : nullptr;
  }
  static SamplingParams greedy(int max_tokens) {
    SamplingParams p;
    p.temperature = 0;
    p.max_tokens = max_tokens;
    p.ignore_eos = true;
    return p;
  }
  struct Text {
    std::vector<TokenId> ids;
    std::string text;
    std::optional<FinishReason> finished;
    std::string error;
  };
  static Text run(Engine& engine, std::vector<TokenId> prompt, const SamplingParams& params) {
    Text text;
    const Status status = engine.generate(std::move(prompt), params, [&](const TokenEvent& e) {
      if (e.token) text.ids.push_back(*e.token);
      text.text += e.text;
      text.finished = e.finished;
    });
    if (!status) text.error = status.error().message;
    return text;
  }

  std::string path_;
};

TEST_F(EngineTest, GeneratesAsManyTokensAsAsked) {
  auto engine = load();
  const Text text = run(*engine, {1, 5, 9}, greedy(20));
  EXPECT_EQ(text.ids.size(), 20u);
  EXPECT_EQ(text.finished, FinishReason::kLength);
  EXPECT_TRUE(engine->idle());
  EXPECT_TRUE(engine->kv_pools().unused());
}

TEST_F(EngineTest, ZeroTokensOnlyComputesThePrompt) {
  auto engine = load();
  const Text text = run(*engine, {1, 5, 9}, greedy(0));
  EXPECT_TRUE(text.ids.empty());
  EXPECT_EQ(text.finished, FinishReason::kLength);
}

TEST_F(EngineTest, StopsAtTheEndOfTheContext) {
  auto engine = load({.context = 32});
  const Text text = run(*engine, {1, 5, 9}, greedy(-1));
  EXPECT_EQ(text.ids.size(), 29u);
  EXPECT_EQ(text.finished, FinishReason::kLength);
}

TEST_F(EngineTest, StopStringsEndTheTextBeforeThem) {
  auto engine = load();
  const Text all = run(*engine, {1, 5, 9}, greedy(60));
  // The first printable letter after some text: random bytes are no UTF-8, which a stop is.
  const auto letter = std::find_if(all.text.begin() + 4, all.text.end(),
                                   [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  ASSERT_NE(letter, all.text.end());
  SamplingParams params = greedy(60);
  params.stop = {std::string(1, *letter)};
  const Text stopped = run(*engine, {1, 5, 9}, params);
  EXPECT_EQ(stopped.finished, FinishReason::kStop);
  EXPECT_EQ(stopped.text, all.text.substr(0, all.text.find(params.stop[0])));
  EXPECT_LT(stopped.ids.size(), all.ids.size());
}

TEST_F(EngineTest, StopTokensEndTheText) {
  auto engine = load();
  const Text all = run(*engine, {1, 5, 9}, greedy(60));
  SamplingParams params = greedy(60);
  params.stop_token_ids = {all.ids[7]};
  const Text stopped = run(*engine, {1, 5, 9}, params);
  EXPECT_EQ(stopped.finished, FinishReason::kStop);
  EXPECT_LE(stopped.ids.size(), 8u);
  EXPECT_EQ(stopped.ids.back(), all.ids[7]);
}

TEST_F(EngineTest, RefusesWhatItCannotServe) {
  auto engine = load({.context = 64});
  EXPECT_THAT(engine->submit({}, greedy(1)).error().message, HasSubstr("prompt is empty"));
  EXPECT_THAT(engine->submit(std::vector<TokenId>(64, 1), greedy(1)).error().message,
              HasSubstr("64 tokens, but the context holds 64"));
  EXPECT_THAT(engine->submit({1, 300}, greedy(1)).error().message, HasSubstr("token id 300"));
  SamplingParams params = greedy(1);
  params.temperature = -1;
  EXPECT_THAT(engine->submit({1}, params).error().message, HasSubstr("temperature"));
  EXPECT_TRUE(engine->idle());
}

TEST_F(EngineTest, RefusesMemoryThatIsNotThere) {
  EngineOptions options;
  options.context = 1 << 29;
  EXPECT_THAT(Engine::load(path_, options).error().message, HasSubstr("of KV cache, but"));
  options.context = 1100;
  options.kv_memory_bytes = 1 << 20;  // 2 layers x 2 heads x 64 x 2 x 2 bytes = 1 KiB a token
  EXPECT_THAT(Engine::load(path_, options).error().message, HasSubstr("--kv-memory of 1.0 MiB"));
  options.kv_memory_bytes = std::uint64_t{1} << 60;
  EXPECT_THAT(Engine::load(path_, options).error().message, HasSubstr("of memory are free"));
}

TEST_F(EngineTest, TheContextFollowsFromTheMemory) {
  EngineOptions options;
  options.kv_memory_bytes = 64 << 10;  // 1 KiB a token, as above
  auto engine = Engine::load(path_, options);
  ASSERT_TRUE(engine) << engine.error().message;
  EXPECT_EQ((*engine)->context(), 64);
  options.kv_memory_bytes = 64 << 20;
  engine = Engine::load(path_, options);
  EXPECT_EQ((*engine)->context(), 1024);  // what the model was trained for
}

TEST_F(EngineTest, DamagedWeightsEndInASentence) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kQ8_0}) {
    test::write_random_model(path_,
                             {.dtype = dtype, .planted = std::numeric_limits<float>::quiet_NaN()});
    auto engine = load();
    ASSERT_NE(engine, nullptr);
    const Text text = run(*engine, {1, 5, 9}, greedy(5));
    EXPECT_THAT(text.error, testing::Not(testing::IsEmpty())) << name(dtype);
  }
}

TEST_F(EngineTest, CancelGivesTheBlocksBack) {
  auto engine = load({.max_sequences = 2});
  const auto a = engine->submit({1, 2, 3}, greedy(100));
  const auto b = engine->submit({1, 2, 4}, greedy(100));
  const auto waiting = engine->submit({1, 2, 5}, greedy(100));
  for (int i = 0; i < 5; ++i) engine->step();
  for (const auto& id : {a, waiting, b}) engine->cancel(*id);
  EXPECT_TRUE(engine->idle());
  EXPECT_TRUE(engine->kv_pools().unused());
}

}  // namespace
}  // namespace ridgeline
