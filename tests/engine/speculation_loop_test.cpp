// Drafts on a loop that many threads use: submitting, cancelling, standing drafts down, reading the
// figures.

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "ridgeline/engine/engine.h"
#include "ridgeline/engine/engine_loop.h"
#include "tests/support/planted_drafter.h"
#include "tests/support/random_model.h"

namespace ridgeline {
namespace {

class SpeculationLoopTest : public testing::Test {
 protected:
  void SetUp() override { test::write_random_model(path_, {.dtype = DType::kQ8_0}); }
  void TearDown() override { std::remove(path_.c_str()); }

  std::unique_ptr<Engine> load(EngineOptions options = {}) const {
    options.backend.threads = 2;
    options.backend.pin = false;
    options.context = 128;
    auto engine = Engine::load(path_, options);
    EXPECT_TRUE(engine) << engine.error().message;
    return engine ? std::move(*engine) : nullptr;
  }
  static Request request(unsigned i) {
    Request r;
    for (unsigned j = 0; j < 15 + i; ++j) r.prompt.push_back(static_cast<TokenId>(30 + 7 * j + i));
    r.params.max_tokens = 60;
    r.params.ignore_eos = true;
    r.params.temperature = i % 2;
    r.params.seed = i;
    return r;
  }
  static std::vector<TokenId> text(Engine& engine, const Request& r) {
    std::vector<TokenId> ids;
    EXPECT_TRUE(engine.submit(r));
    while (!engine.idle())
      for (const TokenEvent& e : engine.step())
        if (e.token) ids.push_back(*e.token);
    return ids;
  }
  /// What a loop's sinks are given.
  struct Mailbox {
    std::mutex mutex;
    std::condition_variable changed;
    std::map<RequestId, std::vector<TokenId>> texts;
    std::map<RequestId, FinishReason> reasons;
    SpeculationCounts counts;
    std::size_t ends = 0;

    EngineLoop::Sink sink() {
      return [this](RequestUpdate&& update) {
        const std::lock_guard lock(mutex);
        for (const TokenEvent& e : update.events) {
          if (e.token) texts[update.request].push_back(*e.token);
          if (e.finished) reasons[update.request] = *e.finished;
        }
        if (!update.summary) return;
        counts += update.summary->speculation;
        ++ends;
        changed.notify_all();
      };
    }
    void wait_for(std::size_t count) {
      std::unique_lock lock(mutex);
      EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(60), [&] { return ends >= count; }));
    }
  };

  std::string path_ = test::temporary_path("speculation_loop.gguf");
};

TEST_F(SpeculationLoopTest, ManyThreadsAndTheSameTexts) {
  constexpr unsigned kTexts = 8, kThreads = 3, kEach = 12;
  auto drafter = std::make_shared<test::PlantedDrafter>(0.7);
  std::vector<std::vector<TokenId>> alone;
  auto plain = load();
  for (unsigned i = 0; i < kTexts; ++i) {
    alone.push_back(text(*plain, request(i)));
    drafter->teach(request(i).prompt, i, 0, alone.back());
  }
  Mailbox mailbox;
  std::mutex mutex;
  std::map<RequestId, unsigned> asked;
  EngineOptions options;
  options.max_sequences = 4;
  options.prefix_cache = true;
  options.speculation.lookup = options.speculation.recent = true;
  options.speculation.fixed_length = 5;
  options.speculation.more = {drafter};
  EngineLoop loop(load(options), {});
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (unsigned i = 0; i < kEach; ++i) {
        Request r = request((t + i) % kTexts);
        if (i % 5 == 4) r.deadlines.total_seconds = 0.002;
        const auto id = loop.submit(std::move(r), mailbox.sink());
        ASSERT_TRUE(id);
        {
          const std::lock_guard lock(mutex);
          asked[*id] = (t + i) % kTexts;
        }
        if (i % 4 == 3) loop.cancel(*id);
      }
    });
  std::atomic<bool> done = false;
  std::thread ladder([&] {
    for (bool allowed = false; !done; allowed = !allowed) {
      loop.set_speculation(allowed);
      EXPECT_EQ(loop.stats().speculation.allowed, allowed);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  });
  for (std::thread& thread : threads) thread.join();
  mailbox.wait_for(kThreads * kEach);
  done = true;
  ladder.join();
  for (const auto& [id, i] : asked) {
    const std::vector<TokenId>& said = mailbox.texts[id];
    if (mailbox.reasons.at(id) == FinishReason::kLength) {
      EXPECT_EQ(said, alone[i]);
    }
    EXPECT_TRUE(std::equal(said.begin(), said.end(), alone[i].begin())) << "or its beginning";
  }
  const EngineStats stats = loop.stats();
  EXPECT_EQ(stats.running + stats.waiting, 0);
  EXPECT_EQ(stats.kv_blocks_in_use, 0);
  EXPECT_GT(stats.speculation.all.accepted, 100u);
  EXPECT_EQ(stats.speculation.all.accepted, mailbox.counts.accepted);
  EXPECT_EQ(stats.speculation.all.drafted, mailbox.counts.drafted);
}

TEST_F(SpeculationLoopTest, StoodDownNothingIsDrafted) {
  auto plain = load();
  const std::vector<TokenId> alone = text(*plain, request(1));
  auto drafter = std::make_shared<test::PlantedDrafter>(1.0);
  drafter->teach(request(1).prompt, 1, 0, alone);
  SpeculationCounts of_steps;  // on the loop's thread, until the loop is at its end
  Mailbox mailbox;
  std::vector<std::uint64_t> drafted;
  {
    EngineOptions options;
    options.speculation.fixed_length = 5;
    options.speculation.more = {drafter};
    EngineLoop loop(load(options),
                    {.on_step = [&](const StepReport& step) { of_steps += step.speculation; }});
    for (const bool allowed : {true, false, true}) {
      loop.set_speculation(allowed);
      ASSERT_TRUE(loop.submit(request(1), mailbox.sink()));
      mailbox.wait_for(drafted.size() + 1);
      drafted.push_back(loop.stats().speculation.all.drafted);
    }
  }
  EXPECT_GT(drafted[0], 40u);
  EXPECT_EQ(drafted[1], drafted[0]);
  EXPECT_GT(drafted[2], drafted[1] + 40);
  EXPECT_EQ(of_steps.drafted, drafted[2]);
  for (const auto& [id, said] : mailbox.texts) EXPECT_EQ(said, alone);
}

}  // namespace
}  // namespace ridgeline
