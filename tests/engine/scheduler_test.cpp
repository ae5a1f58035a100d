// Admission and the blocks of windowed groups, without a model.

#include "ridgeline/engine/scheduler.h"

#include <gtest/gtest.h>

#include <random>

#include "ridgeline/engine/kv_plan.h"
#include "ridgeline/model/model_file.h"
#include "tests/support/random_model.h"

namespace ridgeline {
namespace {

class SchedulerTest : public testing::Test {
 protected:
  static constexpr std::int64_t kBatch = 24, kWindow = 40;

  void SetUp() override {
    const std::string path = test::temporary_path("scheduler.gguf");
    test::write_random_model(path, {});
    auto file = ModelFile::open(path);
    ASSERT_TRUE(file) << file.error().message;
    tokenizer_ = std::move(*file->tokenizer());
    std::remove(path.c_str());
  }

  std::unique_ptr<Sequence> sequence(SequenceId id, std::vector<TokenId> prompt, std::int64_t limit,
                                     CacheUse use = {}) {
    auto s = std::make_unique<Sequence>(id, std::move(prompt), SamplingParams{}, limit, pools_,
                                        *tokenizer_);
    s->cache_use = use;
    return s;
  }
  static std::vector<TokenId> tokens(std::size_t count) {
    std::vector<TokenId> ids(count);
    for (std::size_t i = 0; i < count; ++i) ids[i] = static_cast<TokenId>(i * 7 % 300);
    return ids;
  }
  /// Runs all to their ends; returns the most blocks of the windowed group that were in use.
  int run(Scheduler& scheduler) {
    int most = 0;
    while (!scheduler.idle()) {
      const ScheduledStep step = scheduler.schedule();
      EXPECT_FALSE(step.empty());
      if (step.empty()) return most;
      std::int64_t rows = 0;
      for (const ScheduledTokens& t : step) {
        Sequence& s = *t.sequence;
        rows += t.count;
        // Every position that the rows see has a block of its own.
        const KvBlockTables tables = s.blocks.tables();
        const std::int64_t end = s.num_computed_tokens + t.count;
        for (std::int64_t p = std::max<std::int64_t>(0, s.num_computed_tokens - kWindow + 1);
             p < end; ++p)
          EXPECT_NE(tables[1][static_cast<std::size_t>(p / kKvBlockTokens)], kNoBlock);
        EXPECT_GE(static_cast<std::int64_t>(tables[0].size()) * kKvBlockTokens, end);
        s.num_computed_tokens = end;
        if (!t.wants_logits) continue;
        if (s.total_tokens() < s.max_total_tokens) s.tokens.push_back(1);
        if (s.total_tokens() >= s.max_total_tokens) s.finished = FinishReason::kLength;
      }
      EXPECT_LE(rows, kBatch);
      most = std::max(most, pools_.pool(1).capacity() - pools_.pool(1).available());
      scheduler.remove_finished();
    }
    return most;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  KvPools pools_{{0, kWindow}, {200, 10}};
};

TEST_F(SchedulerTest, LongSequencesHoldAWindow) {
  Scheduler scheduler(pools_, kBatch, 4);
  for (SequenceId id = 1; id <= 4; ++id)
    scheduler.add(sequence(id, tokens(200 * id), 200 * id + 50));
  // Five blocks each: two at a time.
  EXPECT_EQ(BlockTable::most_blocks(kWindow, 1000, kBatch), 5);
  EXPECT_EQ(run(scheduler), 10);
  EXPECT_TRUE(pools_.unused());
}

TEST_F(SchedulerTest, ContinuingGoesBackAsFarAsTheWindowIsHeld) {
  Scheduler scheduler(pools_, kBatch, 1);
  SequenceId id = 0;
  const auto reused = [&](std::size_t common, SequenceId from) {
    std::vector<TokenId> prompt = tokens(common);
    prompt.push_back(299);
    scheduler.add(sequence(++id, std::move(prompt), static_cast<std::int64_t>(common) + 5,
                           {.keep = true, .continue_from = from}));
    const ScheduledStep step = scheduler.schedule();
    const std::int64_t count = step[0].sequence->num_reused_tokens;
    EXPECT_EQ(step[0].sequence->num_computed_tokens, count);
    step[0].sequence->finished = FinishReason::kCancelled;
    step[0].sequence->num_computed_tokens += step[0].count;
    scheduler.remove_finished();
    return count;
  };
  const auto finish = [&](std::size_t count) {
    scheduler.add(sequence(++id, tokens(count), static_cast<std::int64_t>(count), {.keep = true}));
    run(scheduler);
    EXPECT_EQ(scheduler.num_kept(), 1u);
    return id;
  };
  EXPECT_EQ(reused(300, finish(300)), 300);
  scheduler.release(id);
  // The last step began at 288 and saw from 249 on, in block 15: a row at 279 sees from 240 on.
  EXPECT_EQ(reused(279, finish(300)), 279);
  scheduler.release(id);
  EXPECT_EQ(reused(278, finish(300)), 0);
  scheduler.release(id);
  EXPECT_TRUE(pools_.unused());
}

TEST(KvSizes, ContextsAndPoolsFollowFromWindows) {
  auto backend = create_backend({.threads = 1, .isa = {}, .pin = false});
  ASSERT_TRUE(backend);
  KvCacheShape shape{DType::kF16, 3, 1, 32, 0};
  shape.layer_windows = {0, 100, 100};
  const auto sizes = KvSizes::of(**backend, shape, 50);
  ASSERT_TRUE(sizes);
  constexpr std::uint64_t kLayer = 2 * 32 * 16 * 2;  // bytes of a block in one layer
  EXPECT_EQ(sizes->blocks(64), (std::vector<int>{4, 4}));
  // 149 positions from anywhere in a block.
  EXPECT_EQ(sizes->blocks(16000), (std::vector<int>{1000, 11}));
  EXPECT_EQ(sizes->bytes(16000), (1000 + 2 * 11) * kLayer);
  EXPECT_EQ(sizes->tokens_in((1000 + 2 * 11) * kLayer), 16000);
  EXPECT_EQ(sizes->tokens_in((1000 + 2 * 11) * kLayer - 1), 15984);
  EXPECT_EQ(sizes->tokens_in(0), 0);
  EXPECT_EQ(sizes->pools(16000, 3), (std::vector<int>{3000, 33}));
  EXPECT_EQ(sizes->pools_in((1000 + 2 * 11) * kLayer, 16000, 4), (std::vector<int>{1000, 11}));
  EXPECT_EQ(sizes->pools_in((5000 + 2 * 22) * kLayer, 16000, 2), (std::vector<int>{5000, 22}));
  EXPECT_DOUBLE_EQ(sizes->bytes_seen(1000), (1000.0 + 2 * 100) * kLayer / 16);
}

}  // namespace
}  // namespace ridgeline
