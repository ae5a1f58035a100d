// The loop: requests in, events out.

#include "ridgeline/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <random>

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

// Every request gets the tokens that it gets alone, whatever runs beside it.
TEST_F(EngineTest, CompanyDoesNotChangeTheText) {
  std::mt19937 random(11);
  struct Case {
    std::vector<TokenId> prompt;
    SamplingParams params;
    Text alone;
  };
  std::vector<Case> cases(12);
  auto single = load();
  for (Case& c : cases) {
    c.prompt.resize(1 + random() % 90);
    for (TokenId& id : c.prompt) id = static_cast<TokenId>(random() % 300);
    c.params = greedy(1 + static_cast<int>(random() % 30));
    c.params.temperature = random() % 3 == 0 ? 0.0 : 1.0;
    c.params.seed = random();
    c.params.repetition_penalty = 1.1;
    c.alone = run(*single, c.prompt, c.params);
    ASSERT_EQ(c.alone.error, "");
  }

  auto engine =
      load({.context = 128, .kv_memory_bytes = 512 << 10, .batch_tokens = 48, .max_sequences = 5});
  std::map<SequenceId, std::size_t> index;
  std::vector<Text> together(cases.size());
  std::size_t submitted = 0;
  while (submitted < cases.size() || !engine->idle()) {
    for (unsigned i = 0; i < random() % 3 && submitted < cases.size(); ++i, ++submitted) {
      auto id = engine->submit(cases[submitted].prompt, cases[submitted].params);
      ASSERT_TRUE(id) << id.error().message;
      index[*id] = submitted;
    }
    if (submitted == 3) engine->cancel(9999);  // nobody's
    for (const TokenEvent& e : engine->step()) {
      Text& text = together[index.at(e.sequence)];
      if (e.token) text.ids.push_back(*e.token);
      text.text += e.text;
      text.finished = e.finished;
    }
  }
  for (std::size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(together[i].ids, cases[i].alone.ids) << "request " << i;
    EXPECT_EQ(together[i].text, cases[i].alone.text);
    EXPECT_EQ(together[i].finished, cases[i].alone.finished);
  }
  EXPECT_TRUE(engine->kv_pools().unused());
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

// --- continuing a sequence that was kept ----------------------------------------

class ContinueTest : public EngineTest {
 protected:
  static std::vector<TokenId> random_prompt(std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<TokenId> ids(count);
    for (TokenId& id : ids) id = static_cast<TokenId>(random() % 300);
    return ids;
  }
  struct Run {
    SequenceId id = 0;
    std::vector<TokenId> ids;
    std::int64_t reused = -1;
  };
  static Run run(Engine& engine, const std::vector<TokenId>& prompt, int max_tokens, CacheUse use) {
    SamplingParams params = greedy(max_tokens);
    params.temperature = 1;  // any change of the logits shows
    params.seed = 5;
    Run run;
    const auto id = engine.submit(prompt, params, use);
    EXPECT_TRUE(id) << id.error().message;
    run.id = *id;
    while (!engine.idle()) {
      for (const TokenEvent& e : engine.step()) {
        if (e.token) run.ids.push_back(*e.token);
        run.reused = e.reused_tokens;
      }
    }
    return run;
  }
  /// Checks a prompt that continues `from` against a fresh engine's.
  Run expect_as_fresh(Engine& engine, const std::vector<TokenId>& prompt, SequenceId from,
                      std::int64_t reused) {
    const Run continued = run(engine, prompt, 12, {.keep = true, .continue_from = from});
    EXPECT_EQ(continued.reused, reused);
    auto fresh = load({.context = 200});
    EXPECT_EQ(continued.ids, run(*fresh, prompt, 12, {}).ids);
    return continued;
  }
};

TEST_F(ContinueTest, OnlyWhatIsNewIsComputed) {
  auto engine = load({.context = 200, .batch_tokens = 32});
  std::vector<TokenId> prompt = random_prompt(70, 1);
  Run turn = run(*engine, prompt, 12, {.keep = true});
  EXPECT_EQ(turn.reused, 0);
  EXPECT_FALSE(engine->kv_pools().unused());

  // The next turn of a conversation: the answer, of which the last token was never computed,
  // and another question.
  prompt.insert(prompt.end(), turn.ids.begin(), turn.ids.end());
  const auto question = random_prompt(20, 2);
  prompt.insert(prompt.end(), question.begin(), question.end());
  turn = expect_as_fresh(*engine, prompt, turn.id, 70 + 11);

  // The same once more, of which the last token has to be computed: the answer again.
  const std::vector<TokenId> answer = turn.ids;
  turn = expect_as_fresh(*engine, prompt, turn.id, 101);
  EXPECT_EQ(turn.ids, answer);

  // Back to the middle of a block of the first prompt, and on from there.
  prompt.resize(37);
  prompt.push_back((random_prompt(70, 1)[37] + 1) % 300);
  turn = expect_as_fresh(*engine, prompt, turn.id, 37);

  engine->release(turn.id);
  EXPECT_TRUE(engine->kv_pools().unused());
  expect_as_fresh(*engine, prompt, turn.id, 0);
}

// With windows: what is behind the window is gone, and a prompt that parts there starts anew.
TEST_F(ContinueTest, WindowsAreContinuedAsFarAsTheyReach) {
  for (const char* name : {"gemma3", "mistral-window", "gpt-oss"}) {
    SCOPED_TRACE(name);
    test::write_recipe_model(path_, test::read_recipe(name));
    auto engine = load({.context = 120, .batch_tokens = 16});
    std::vector<TokenId> prompt = random_prompt(60, 6);
    for (TokenId& id : prompt) id %= engine->config().vocab_size;
    const Run turn = run(*engine, prompt, 10, {.keep = true});
    prompt.insert(prompt.end(), turn.ids.begin(), turn.ids.end());
    prompt.push_back(5);
    const auto expect = [&](const std::vector<TokenId>& next, SequenceId from,
                            std::int64_t reused) {
      const Run continued = run(*engine, next, 10, {.keep = true, .continue_from = from});
      EXPECT_EQ(continued.reused, reused);
      auto fresh = load({.context = 120});
      EXPECT_EQ(continued.ids, run(*fresh, next, 10, {}).ids);
      return continued.id;
    };
    const SequenceId next = expect(prompt, turn.id, 69);
    prompt.resize(30);
    expect(prompt, next, 0);
  }
}

TEST_F(ContinueTest, CancelledSequencesAreKeptToo) {
  auto engine = load({.context = 200});
  const std::vector<TokenId> prompt = random_prompt(40, 3);
  const auto id = engine->submit(prompt, greedy(100), {.keep = true});
  for (int i = 0; i < 8; ++i) engine->step();
  engine->cancel(*id);
  EXPECT_TRUE(engine->idle());
  std::vector<TokenId> next = prompt;
  next.push_back(7);
  expect_as_fresh(*engine, next, *id, 40);
}

TEST_F(ContinueTest, KeptSequencesGiveWayToThoseThatRun) {
  auto engine = load({.context = 100});  // the pool holds one such sequence
  const std::vector<TokenId> first = random_prompt(60, 4), second = random_prompt(80, 5);
  const SequenceId a = run(*engine, first, 5, {.keep = true}).id;
  const SequenceId b = run(*engine, second, 5, {.keep = true}).id;
  expect_as_fresh(*engine, first, a, 0);
  expect_as_fresh(*engine, second, b, 0);
}

TEST_F(ContinueTest, QueuedContinuationsDoNotBlockEachOther) {
  // Room for two running; four kept ones are continued at once, longest last.
  auto engine = load({.context = 150, .kv_memory_bytes = 320 << 10, .max_sequences = 4});
  std::vector<SequenceId> kept, next;
  for (unsigned i = 0; i < 4; ++i)
    kept.push_back(run(*engine, random_prompt(30, i), 4, {.keep = true}).id);
  std::map<SequenceId, std::vector<TokenId>> together;
  for (unsigned i = 0; i < 4; ++i) {
    std::vector<TokenId> prompt = random_prompt(30 + 25 * i, i);
    const auto id = engine->submit(prompt, greedy(20), {.continue_from = kept[i]});
    ASSERT_TRUE(id) << id.error().message;
    next.push_back(*id);
  }
  for (int steps = 0; !engine->idle(); ++steps) {
    ASSERT_LT(steps, 1000);
    for (const TokenEvent& e : engine->step())
      if (e.token) together[e.sequence].push_back(*e.token);
  }
  for (unsigned i = 0; i < 4; ++i) {
    auto fresh = load({.context = 150});
    EXPECT_EQ(together[next[i]],
              EngineTest::run(*fresh, random_prompt(30 + 25 * i, i), greedy(20)).ids);
  }
}

TEST_F(ContinueTest, RefusesWhatNeverWasOrStillRuns) {
  auto engine = load({.context = 64, .max_sequences = 2});
  EXPECT_THAT(engine->submit({1}, greedy(1), {.continue_from = 7}).error().message,
              HasSubstr("no sequence 7 to continue from"));
  const auto id = engine->submit({1, 2}, greedy(20), {.keep = true});
  engine->step();
  EXPECT_THAT(engine->submit({1, 2, 3}, greedy(1), {.continue_from = *id}).error().message,
              HasSubstr("has not ended"));
}

}  // namespace
}  // namespace ridgeline
