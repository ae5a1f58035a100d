// Every request gives the same tokens, bit for bit, as it does alone: whatever runs beside it,
// whatever it shares with others, however often it is preempted.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <limits>
#include <map>
#include <mutex>
#include <random>

#include "ridgeline/engine/engine.h"
#include "ridgeline/engine/engine_loop.h"
#include "ridgeline/text/grammar/grammar.h"
#include "tests/support/planted_drafter.h"
#include "tests/support/random_model.h"
#include "tests/support/recipe_model.h"

namespace ridgeline {
namespace {

using testing::HasSubstr;

class CompanyTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = test::temporary_path("company.gguf");
    test::write_random_model(path_, {.dtype = DType::kQ8_0});
  }
  void TearDown() override { std::remove(path_.c_str()); }

  std::unique_ptr<Engine> load(EngineOptions options = {}) const {
    options.backend.threads = 2;
    options.backend.pin = false;
    if (options.context == 0) options.context = 200;
    auto engine = Engine::load(path_, options);
    EXPECT_TRUE(engine) << engine.error().message;
    return engine ? std::move(*engine) : nullptr;
  }

  /// What a choice came to, log-probabilities and all.
  struct Text {
    std::vector<TokenId> ids;
    std::string text;
    std::vector<float> logprobs;
    std::optional<FinishReason> finished;
    bool operator==(const Text&) const = default;
  };
  using Texts = std::map<int, Text>;  // by choice

  static void add(Texts& texts, const TokenEvent& e) {
    Text& text = texts[e.choice];
    if (e.token) text.ids.push_back(*e.token);
    text.text += e.text;
    if (e.logprobs) {
      text.logprobs.push_back(e.logprobs->chosen.logprob);
      for (const auto& entry : e.logprobs->top) text.logprobs.push_back(entry.logprob);
    }
    for (const TokenLogprobs& p : e.prompt_logprobs) text.logprobs.push_back(p.chosen.logprob);
    for (const float v : e.embedding) text.logprobs.push_back(v);
    if (e.finished) text.finished = e.finished;
  }
  static Texts run(Engine& engine, const Request& request) {
    Texts texts;
    const auto id = engine.submit(request);
    EXPECT_TRUE(id) << id.error().message;
    while (!engine.idle())
      for (const TokenEvent& e : engine.step()) add(texts, e);
    return texts;
  }

  static std::vector<TokenId> words(std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<TokenId> ids(count);
    for (TokenId& id : ids) id = static_cast<TokenId>(random() % 259);
    return ids;
  }
  static Request request(std::vector<TokenId> prompt, int max_tokens) {
    Request r;
    r.prompt = std::move(prompt);
    r.params.max_tokens = max_tokens;
    r.params.ignore_eos = true;
    r.params.temperature = 1;
    r.params.seed = 5;
    return r;
  }
  static Request random_request(std::mt19937& random) {
    // Five beginnings that are shared, of up to four blocks.
    std::vector<TokenId> prompt = words(random() % 70, static_cast<unsigned>(random() % 5));
    const auto rest = words(1 + random() % 50, static_cast<unsigned>(random()));
    prompt.insert(prompt.end(), rest.begin(), rest.end());
    Request r = request(std::move(prompt), static_cast<int>(random() % 50));
    r.params.temperature = random() % 3 == 0 ? 0.0 : 1.0;
    r.params.seed = random();
    r.params.repetition_penalty = random() % 2 == 0 ? 1.1 : 1.0;
    r.params.top_p = random() % 2 == 0 ? 0.9 : 1.0;
    r.choices = random() % 8 == 0 ? 1 + static_cast<int>(random() % 3) : 1;
    if (random() % 4 == 0) r.logprobs = static_cast<int>(random() % 4);
    if (random() % 12 == 0) r.prompt_logprobs = 1;
    if (random() % 12 == 0) r.embed.emplace();
    if (r.embed) r.choices = 1;
    r.priority = static_cast<int>(random() % 3);
    r.tenant = random() % 3;
    if (random() % 6 == 0) r.cache_salt = "salt";
    if (random() % 6 == 0 && !r.embed) r.grammar = *Grammar::from_regex("([a-e]|[0-9]{2},?)*");
    if (random() % 8 == 0) r.params.stop = {std::string(1, static_cast<char>('a' + random() % 26))};
    if (random() % 8 == 0) r.params.stop_token_ids = {static_cast<TokenId>(random() % 259)};
    return r;
  }

  void expect_company_changes_nothing(std::size_t requests, EngineOptions options, unsigned seed,
                                      double agreement = -1) {
    std::mt19937 random(seed);
    struct Case {
      Request request;
      Texts alone, together;
      bool cancelled = false;
    };
    std::vector<Case> cases(requests);
    auto single = load({.kv_type = options.kv_type, .max_sequences = 4});
    ASSERT_NE(single, nullptr);
    for (Case& c : cases) {
      c.request = random_request(random);
      for (TokenId& id : c.request.prompt) id %= single->config().vocab_size;
      c.alone = run(*single, c.request);
    }
    if (agreement >= 0) {
      auto drafter = std::make_shared<test::PlantedDrafter>(agreement, seed);
      for (const Case& c : cases)
        for (const auto& [choice, text] : c.alone)
          drafter->teach(c.request.prompt, c.request.params.seed, choice, text.ids);
      options.speculation.more = {drafter};
    }
    auto engine = load(options);
    ASSERT_NE(engine, nullptr);
    std::map<RequestId, std::size_t> index;
    std::size_t submitted = 0;
    while (submitted < cases.size() || !engine->idle()) {
      for (unsigned i = 0; i < random() % 3 && submitted < cases.size(); ++i, ++submitted) {
        const auto id = engine->submit(cases[submitted].request);
        ASSERT_TRUE(id) << id.error().message;
        index[*id] = submitted;
      }
      if (!index.empty() && random() % 40 == 0) {
        const auto victim =
            std::next(index.begin(), static_cast<std::ptrdiff_t>(random() % index.size()));
        if (engine->cancel(victim->first)) cases[victim->second].cancelled = true;
      }
      for (const TokenEvent& e : engine->step()) add(cases[index.at(e.request)].together, e);
    }
    std::size_t cancelled = 0;
    for (std::size_t i = 0; i < cases.size(); ++i) {
      const Case& c = cases[i];
      cancelled += c.cancelled;
      if (!c.cancelled) {
        EXPECT_EQ(c.together, c.alone) << "request " << i;
      } else {
        for (const auto& [choice, text] : c.together) {
          const auto& whole = c.alone.at(choice).ids;
          ASSERT_LE(text.ids.size(), whole.size());
          EXPECT_TRUE(std::equal(text.ids.begin(), text.ids.end(), whole.begin()));
        }
      }
    }
    EXPECT_LT(cancelled, requests / 4);
    EXPECT_TRUE(engine->kv_pools().unused());
    stats_ = engine->stats();
  }

  std::string path_;
  EngineStats stats_;
};

TEST_F(CompanyTest, TwoHundredRequestsAreWhatTheyAreAlone) {
  // 1 KiB a token: room for one request of the longest kind and a little.
  expect_company_changes_nothing(200,
                                 {.context = 200,
                                  .kv_memory_bytes = 216 << 10,
                                  .batch_tokens = 48,
                                  .max_sequences = 8,
                                  .prefix_cache = true},
                                 11);
  EXPECT_GT(stats_.preemptions, 20u);
  EXPECT_GT(stats_.prefix_hit_tokens, 500u);
}

// Penalties, grammars, stop strings, choices, preemption and the prefix cache under drafts of which
// none, some and all tokens are right.
TEST_F(CompanyTest, DraftsChangeNothing) {
  for (const double agreement : {0.0, 0.7, 1.0}) {
    SCOPED_TRACE(agreement);
    expect_company_changes_nothing(60,
                                   {.context = 200,
                                    .kv_memory_bytes = 216 << 10,
                                    .batch_tokens = 48,
                                    .max_sequences = 8,
                                    .prefix_cache = true,
                                    .speculation = {.max_draft = 9, .fixed_length = 9}},
                                   21, agreement);
    const SpeculationStats& s = stats_.speculation;
    EXPECT_GT(s.all.drafted, 300u);
    EXPECT_EQ(s.all.drafted, s.drafters[0].drafted);
    if (agreement == 1)
      EXPECT_GT(s.all.acceptance(), 0.9);
    else
      EXPECT_NEAR(s.all.acceptance(), agreement == 0 ? 0.005 : 0.25, agreement == 0 ? 0.005 : 0.1);
    EXPECT_GT(stats_.preemptions, 1u);
    EXPECT_GT(stats_.prefix_hit_tokens, 100u);
  }
}

// What is on in a server: all drafters, a model among them, the control's own choices, budgets by
// time, and a cache of keys and values that is too small.
TEST_F(CompanyTest, AllDraftersTogetherChangeNothing) {
  const std::string draft = test::temporary_path("draft.gguf");
  test::write_random_model(draft, {.dtype = DType::kQ4_0});  // the same weights, rounded further
  EngineOptions options;
  options.kv_memory_bytes = 216 << 10;
  options.batch_tokens = 64;
  options.max_sequences = 6;
  options.prefix_cache = true;
  options.speculation.lookup = options.speculation.recent = true;
  options.speculation.draft_model = draft;
  for (const bool measure_cost : {true, false}) {
    SCOPED_TRACE(measure_cost);
    options.measure_cost = measure_cost;
    expect_company_changes_nothing(80, options, 31);
    EXPECT_EQ(stats_.speculation.drafters.size(), 3u);
    EXPECT_GT(stats_.speculation.all.checks, 500u);
    EXPECT_GT(stats_.preemptions, 2u);
  }
  std::remove(draft.c_str());
}

TEST_F(CompanyTest, WithQuantizedKeysAndValuesToo) {
  expect_company_changes_nothing(80,
                                 {.context = 200,
                                  .kv_type = DType::kQ8_0,
                                  .kv_memory_bytes = 112 << 10,
                                  .batch_tokens = 48,
                                  .max_sequences = 8,
                                  .prefix_cache = true},
                                 13);
  EXPECT_GT(stats_.preemptions, 5u);
  EXPECT_GT(stats_.prefix_hit_tokens, 100u);
}

// With windows, whose groups of layers have pools of their own.
TEST_F(CompanyTest, WindowsToo) {
  for (const char* name : {"gemma3", "mistral-window", "gpt-oss"}) {
    SCOPED_TRACE(name);
    test::write_recipe_model(path_, test::read_recipe(name));
    expect_company_changes_nothing(
        40, {.context = 200, .batch_tokens = 24, .max_sequences = 3, .prefix_cache = true}, 3);
    expect_company_changes_nothing(20,
                                   {.context = 200,
                                    .batch_tokens = 24,
                                    .max_sequences = 3,
                                    .prefix_cache = true,
                                    .speculation = {.fixed_length = 7}},
                                   4, 0.8);
  }
}

TEST_F(CompanyTest, StepsBudgetedByTimeToo) {
  expect_company_changes_nothing(40,
                                 {.context = 200,
                                  .batch_tokens = 64,
                                  .max_sequences = 6,
                                  .prefix_cache = true,
                                  .prefill_share = 0.3,
                                  .measure_cost = true},
                                 12);
}

TEST_F(CompanyTest, ChoicesShareThePrompt) {
  auto engine = load({.max_sequences = 4, .prefix_cache = true});
  Request r = request(words(100, 1), 6);
  r.choices = 4;
  const auto id = engine->submit(r);
  ASSERT_TRUE(id);
  Texts texts;
  for (const TokenEvent& e : engine->step()) add(texts, e);
  EXPECT_EQ(texts.size(), 4u);
  for (const TokenEvent& e : engine->step()) add(texts, e);
  // Six full blocks together; of the seventh, each but one has made a copy.
  EXPECT_EQ(engine->stats().kv_blocks_in_use, 6 + 4);
  while (!engine->idle())
    for (const TokenEvent& e : engine->step()) add(texts, e);
  auto alone = load({.max_sequences = 4});
  EXPECT_EQ(texts, run(*alone, r));
  EXPECT_NE(texts[0].ids, texts[1].ids);
  r.choices = 1;
  EXPECT_EQ(texts[0], run(*alone, r)[0]);
}

TEST_F(CompanyTest, PrefixesAreFoundAgain) {
  auto engine = load({.prefix_cache = true});
  Request r = request(words(70, 1), 12);
  std::int64_t reused = -1;
  const auto ask = [&](const Request& what) {
    std::vector<TokenId> ids;
    EXPECT_TRUE(engine->submit(what));
    while (!engine->idle())
      for (const TokenEvent& e : engine->step()) {
        if (e.token) ids.push_back(*e.token);
        reused = e.reused_tokens;
      }
    return ids;
  };
  const auto first = ask(r);
  EXPECT_EQ(reused, 0);
  EXPECT_EQ(ask(r), first);
  EXPECT_EQ(reused, 64);
  r.cache_salt = "mine";
  EXPECT_EQ(ask(r), first);
  EXPECT_EQ(reused, 0);
  r.prompt_logprobs = 0;
  EXPECT_EQ(ask(r), first);
  EXPECT_EQ(reused, 0);
  engine->clear_prefix_cache();
  r.prompt_logprobs.reset();
  ask(r);
  EXPECT_EQ(reused, 0);
}

TEST_F(CompanyTest, PromptLogprobsDoNotDependOnChunks) {
  Request r = request(words(90, 2), 3);
  r.prompt_logprobs = 2;
  r.logprobs = 1;
  auto whole = load({.batch_tokens = 128});
  auto chunks = load({.batch_tokens = 7});
  const Texts a = run(*whole, r), b = run(*chunks, r);
  EXPECT_EQ(a, b);
  EXPECT_EQ(a.at(0).logprobs.size(), 89u + 2 * 3);
}

TEST_F(CompanyTest, DeadlinesEndWhatIsLate) {
  auto engine = load({.max_sequences = 1});
  Request slow = request(words(10, 1), 150), queued = slow;
  slow.deadlines.total_seconds = 1e-9;
  ASSERT_TRUE(engine->submit(slow));
  auto events = engine->step();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].finished, FinishReason::kDeadline);
  EXPECT_EQ(events[0].deadline, Deadline::kTotal);
  EXPECT_TRUE(events[0].summary);
  EXPECT_TRUE(engine->idle());

  slow.deadlines = {};
  queued.deadlines.queue_seconds = 1e-9;
  ASSERT_TRUE(engine->submit(slow));
  engine->step();
  queued.choices = 1;
  const auto id = engine->submit(queued);
  events = engine->step();
  const auto late = std::ranges::find(events, *id, &TokenEvent::request);
  ASSERT_NE(late, events.end());
  EXPECT_EQ(late->deadline, Deadline::kQueue);
  EXPECT_FALSE(engine->idle());
}

TEST_F(CompanyTest, GrammarsBindTheText) {
  auto engine = load({.max_sequences = 3});
  const auto text_of = [&](const Request& r, int choice = 0) {
    return run(*engine, r).at(choice).text;
  };
  Request r = request(words(10, 1), 40);
  r.params.ignore_eos = false;
  r.choices = 3;
  r.grammar = *Grammar::from_choices(std::vector<std::string>{"yes", "no", "not at all"});
  for (int choice = 0; choice < 3; ++choice)
    EXPECT_THAT(text_of(r, choice), testing::AnyOf("yes", "no", "not at all"));
  r.choices = 1;
  r.grammar = *Grammar::from_regex("[a-c]{4}-[0-9]{3}");
  EXPECT_THAT(text_of(r), testing::MatchesRegex("[a-c][a-c][a-c][a-c]-[0-9][0-9][0-9]"));
  // Also where the end is not allowed: the text ends because nothing else may follow.
  r.params.ignore_eos = true;
  EXPECT_THAT(text_of(r), testing::MatchesRegex("[a-c][a-c][a-c][a-c]-[0-9][0-9][0-9]"));
  // A bias that forbids all that the grammar allows leaves no token, and says so.
  for (TokenId id = 0; id < engine->config().vocab_size; ++id)
    r.params.logit_bias.push_back({id, -std::numeric_limits<float>::infinity()});
  EXPECT_EQ(run(*engine, r).at(0).finished, FinishReason::kError);
}

TEST_F(CompanyTest, RefusesWhatItCannotServe) {
  auto engine = load({.context = 64, .max_sequences = 3});
  Request r = request({1, 2}, 3);
  r.choices = 4;
  EXPECT_THAT(engine->submit(r).error().message, HasSubstr("4 choices were asked for"));
  r.choices = 1;
  r.logprobs = 21;
  EXPECT_THAT(engine->submit(r).error().message, HasSubstr("logprobs is 21"));
  r.logprobs.reset();
  r.deadlines.total_seconds = -1;
  EXPECT_THAT(engine->submit(r).error().message, HasSubstr("total_seconds is -1"));
}

// --- the loop's thread -------------------------------------------------------------

class LoopTest : public CompanyTest {
 protected:
  /// Collects what a loop's sinks are given, and waits for ends.
  struct Mailbox {
    std::mutex mutex;
    std::condition_variable changed;
    std::map<RequestId, Texts> texts;
    std::map<RequestId, RequestSummary> ends;

    EngineLoop::Sink sink() {
      return [this](RequestUpdate&& update) {
        const std::lock_guard lock(mutex);
        EXPECT_FALSE(ends.contains(update.request));
        for (const TokenEvent& e : update.events) add(texts[update.request], e);
        if (update.summary) ends[update.request] = *update.summary;
        changed.notify_all();
      };
    }
    void wait_for(std::size_t count) {
      std::unique_lock lock(mutex);
      EXPECT_TRUE(
          changed.wait_for(lock, std::chrono::seconds(60), [&] { return ends.size() >= count; }));
    }
  };
};

TEST_F(LoopTest, ServesManyThreads) {
  Mailbox mailbox;
  EngineLoop loop(load({.max_sequences = 4, .prefix_cache = true}), {});
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      for (unsigned i = 0; i < 8; ++i) {
        const auto id = loop.submit(request(words(20 + t, i), 10), mailbox.sink());
        EXPECT_TRUE(id);
        if (i % 4 == 3) loop.cancel(*id);
        (void)loop.stats();
      }
    });
  for (std::thread& t : threads) t.join();
  mailbox.wait_for(24);
  auto alone = load();
  for (const auto& [id, texts] : mailbox.texts) {
    if (texts.at(0).finished == FinishReason::kCancelled) continue;
    EXPECT_EQ(texts.at(0).ids.size(), 10u);
    EXPECT_EQ(mailbox.ends.at(id).output_tokens, 10);
  }
  EXPECT_EQ(loop.stats().running + loop.stats().waiting, 0);
}

TEST_F(LoopTest, TheQueueHasAnEnd) {
  Mailbox mailbox;
  EngineLoop loop(load({.max_sequences = 1}),
                  {.max_waiting_requests = 3, .max_waiting_tokens = 1000, .on_step = {}});
  std::size_t taken = 0;
  std::optional<Refusal> refusal;
  for (int i = 0; i < 50 && !refusal; ++i) {
    const auto id = loop.submit(request(words(10, 1), 150), mailbox.sink());
    if (id)
      ++taken;
    else
      refusal = id.error();
  }
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->kind, Refusal::Kind::kQueueFull);
  EXPECT_THAT(refusal->message, HasSubstr("no more than 3 may"));
  EXPECT_LE(taken, 8u);
  const auto too_long = loop.submit(request(words(300, 1), 5), mailbox.sink());
  ASSERT_FALSE(too_long);
  EXPECT_EQ(too_long.error().kind, Refusal::Kind::kTooLarge);
  loop.drain();
  const auto late = loop.submit(request(words(3, 1), 5), mailbox.sink());
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, Refusal::Kind::kDraining);
  mailbox.wait_for(taken);
}

TEST_F(LoopTest, StoppingAnswersEverybody) {
  Mailbox mailbox;
  std::size_t taken = 0;
  {
    EngineLoop loop(load({.max_sequences = 2}), {});
    for (int i = 0; i < 6; ++i)
      taken += loop.submit(request(words(10, 1), 150), mailbox.sink()).has_value();
  }
  EXPECT_EQ(taken, 6u);
  EXPECT_EQ(mailbox.ends.size(), taken);
}

}  // namespace
}  // namespace ridgeline
