// Scheduler and pools without a model: tokens come from a hash of the text so far, and a cache
// that remembers which text stands in each slot of each block checks what every row would see.

#include "ridgeline/engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <random>

#include "ridgeline/engine/sequence_output.h"

namespace ridgeline {
namespace {

using Hash = std::uint64_t;

Hash extend(Hash hash, TokenId token) {
  hash = (hash ^ static_cast<Hash>(token + 1)) * 0x9E3779B97F4A7C15ULL;
  return hash ^ (hash >> 29);
}

/// What "sampling" makes of a text: the next token, or the end.
std::optional<TokenId> next_token(const std::vector<TokenId>& tokens, int choice) {
  Hash hash = static_cast<Hash>(choice) + 1;
  for (const TokenId token : tokens) hash = extend(hash, token);
  if (hash % 61 == 0) return std::nullopt;
  return static_cast<TokenId>(hash % 7);
}

std::vector<TokenId> text_alone(std::vector<TokenId> tokens, std::int64_t limit, int choice) {
  while (static_cast<std::int64_t>(tokens.size()) < limit) {
    const auto token = next_token(tokens, choice);
    if (!token) break;
    tokens.push_back(*token);
  }
  return tokens;
}

class World {
 public:
  World(std::vector<std::int64_t> windows, std::vector<int> blocks, Scheduler::Options options)
      : windows_(std::move(windows)),
        pools_(windows_, blocks),
        options_(options),
        scheduler_(pools_, options),
        slots_(windows_.size()) {
    for (std::size_t g = 0; g < slots_.size(); ++g)
      slots_[g].resize(static_cast<std::size_t>(blocks[g]));
  }

  RequestId add(std::vector<TokenId> prompt, std::int64_t limit, int choices = 1, int priority = 0,
                std::uint64_t tenant = 0) {
    const RequestId id = ++last_;
    auto s = std::make_unique<Sequence>(id, prompt, limit, pools_);
    s->arrival = id;
    s->priority = priority;
    s->tenant = tenant;
    s->choices_to_come = choices - 1;
    scheduler_.add(std::move(s));
    requests_[id] = {std::move(prompt), limit, choices};
    return id;
  }
  void cancel(RequestId id) {
    scheduler_.for_each(id, [](Sequence& s) { s.finished = FinishReason::kCancelled; });
    scheduler_.remove_finished();
    requests_.erase(id);
  }

  /// Drafts for those that generate: right at first, as far as it happens, then wrong.
  void draft(std::mt19937& random) {
    for (const auto& s : scheduler_.running()) {
      if (s->uncomputed_tokens() != 1 || random() % 3 == 0) continue;
      std::vector<TokenId> text = s->tokens;
      const std::size_t length = random() % 20, right = random() % 20;
      for (std::size_t i = 0; i < length; ++i) {
        const auto next = next_token(text, s->choice);
        text.push_back(next && i < right ? *next : static_cast<TokenId>(random() % 7));
      }
      s->draft.assign(text.begin() + s->total_tokens(), text.end());
    }
  }

  /// One step; the cache's contents are checked and every finished text is held against the one
  /// that the request would have alone.
  ScheduledStep step(const StepBudget& budget) {
    ScheduledStep step = scheduler_.schedule(budget);
    EXPECT_EQ(step.empty(), scheduler_.idle());
    for (const BlockCopy& c : step.copies) {
      auto& group = slots_[static_cast<std::size_t>(c.group)];
      group[static_cast<std::size_t>(c.to)] = group[static_cast<std::size_t>(c.from)];
    }
    std::int64_t rows = 0;
    for (const ScheduledTokens& run : step.runs) {
      rows += run.rows();
      drafted += run.drafted;
      compute(*run.sequence, run);
    }
    EXPECT_LE(rows, budget.rows);
    EXPECT_EQ(rows, step.load.rows);
    EXPECT_LE(static_cast<int>(scheduler_.num_running()), options_.max_sequences);
    scheduler_.commit(step);
    for (const ScheduledTokens& run : step.runs) {
      Sequence& s = *run.sequence;
      if (!run.reaches_end) continue;
      sample(s);
      for (std::int64_t i = 0; i < run.drafted && !s.finished; ++i) {
        if (s.draft[static_cast<std::size_t>(i)] != s.tokens.back()) break;
        ++accepted;
        accept(s);
      }
    }
    scheduler_.settle(step);
    for (const auto& s : scheduler_.running())
      EXPECT_LE(s->num_computed_tokens + (s->finished ? 0 : 1), s->total_tokens());
    scheduler_.remove_finished();
    return step;
  }
  void run_to_end(const StepBudget& budget) {
    while (!scheduler_.idle() && !testing::Test::HasFailure()) step(budget);
  }

  std::map<RequestId, int> ended;  ///< choices
  std::vector<RequestId> order;    ///< of the requests' ends
  std::int64_t drafted = 0, accepted = 0;
  KvPools& pools() { return pools_; }
  Scheduler& scheduler() { return scheduler_; }
  std::size_t open() const { return requests_.size(); }
  RequestId any(std::mt19937& random) const {
    return std::next(requests_.begin(), static_cast<std::ptrdiff_t>(random() % requests_.size()))
        ->first;
  }

 private:
  struct Pending {
    std::vector<TokenId> prompt;
    std::int64_t limit;
    int choices;
  };

  void compute(const Sequence& s, const ScheduledTokens& run) {
    const std::int64_t begin = s.num_computed_tokens, end = begin + run.rows();
    std::vector<TokenId> text(s.tokens.begin(), s.tokens.begin() + begin + run.count);
    text.insert(text.end(), s.draft.begin(), s.draft.begin() + run.drafted);
    std::vector<Hash> prefix(static_cast<std::size_t>(end));
    Hash hash = 0;
    for (std::int64_t p = 0; p < end; ++p)
      prefix[static_cast<std::size_t>(p)] = hash = extend(hash, text[static_cast<std::size_t>(p)]);
    const KvBlockTables tables = s.blocks.tables();
    for (std::size_t g = 0; g < slots_.size(); ++g) {
      const auto table = tables[static_cast<int>(g)];
      const auto slot = [&](std::int64_t p) -> Hash& {
        const BlockId id = table[static_cast<std::size_t>(p / kKvBlockTokens)];
        return slots_[g][static_cast<std::size_t>(id)]
                     [static_cast<std::size_t>(p % kKvBlockTokens)];
      };
      for (std::int64_t p = begin; p < end; ++p) slot(p) = prefix[static_cast<std::size_t>(p)];
      const std::int64_t window = windows_[g];
      for (std::int64_t p = window > 0 ? std::max<std::int64_t>(0, begin - window + 1) : 0; p < end;
           ++p)
        ASSERT_EQ(slot(p), prefix[static_cast<std::size_t>(p)])
            << "request " << s.request << " position " << p << " group " << g;
    }
  }

  void sample(Sequence& s) {
    for (int choice = 1; choice <= s.choices_to_come; ++choice) {
      auto other = std::make_unique<Sequence>(s, choice);
      accept(*other);
      scheduler_.add_choice(std::move(other));
    }
    s.choices_to_come = 0;
    accept(s);
  }
  void accept(Sequence& s) {
    const auto token = next_token(s.tokens, s.choice);
    if (token) s.tokens.push_back(*token);
    if (token && s.total_tokens() < s.max_total_tokens) return;
    s.finished = FinishReason::kStop;
    const Pending& request = requests_.at(s.request);
    EXPECT_EQ(s.tokens, text_alone(request.prompt, request.limit, s.choice));
    if (++ended[s.request] == request.choices) {
      requests_.erase(s.request);
      order.push_back(s.request);
    }
  }

  std::vector<std::int64_t> windows_;
  KvPools pools_;
  Scheduler::Options options_;
  Scheduler scheduler_;
  std::vector<std::vector<std::array<Hash, kKvBlockTokens>>> slots_;
  std::map<RequestId, Pending> requests_;
  RequestId last_ = 0;
};

std::vector<TokenId> tokens(std::size_t count, TokenId first = 0) {
  std::vector<TokenId> ids(count);
  for (std::size_t i = 0; i < count; ++i)
    ids[i] = i == 0 ? first : static_cast<TokenId>(i * 7 % 300);
  return ids;
}

/// `make soak` sets it: so many times as long.
int effort() {
  const char* times = std::getenv("RIDGELINE_TEST_EFFORT");
  return times == nullptr ? 1 : std::atoi(times);
}

// Lengths, priorities, tenants, choices, cancellations, shared prefixes, drafts, in pools so small
// that somebody is preempted all the time.
TEST(Scheduler, NobodySeesAnothersTextAndEverybodyEnds) {
  for (const auto& [prefix_cache, drafts] : {std::pair(true, false), std::pair(false, false),
                                             std::pair(false, true), std::pair(true, true)}) {
    SCOPED_TRACE(prefix_cache);
    SCOPED_TRACE(drafts);
    std::mt19937 random(prefix_cache ? 5 : 6);
    World world({0, 40}, {26, 20},
                {.batch_tokens = 24, .max_sequences = 6, .prefix_cache = prefix_cache});
    CostCurve cost;
    cost.set(1, 1.0);
    cost.set(2, 1.2);
    cost.set(4, 1.5);
    cost.set_per_attended(0.001);
    const int steps = 160'000 * effort();
    std::uint64_t most_choices = 0;
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
      if (world.open() < 12 && random() % 8 == 0) {
        const std::size_t common = 16 * (random() % 7);
        std::vector<TokenId> prompt = tokens(common + 1 + random() % 60);
        for (std::size_t i = common; i < prompt.size(); ++i)
          prompt[i] = static_cast<TokenId>(random() % 5);
        const auto limit = static_cast<std::int64_t>(prompt.size() + 1 + random() % 120);
        const int choices = random() % 4 == 0 ? 1 + static_cast<int>(random() % 4) : 1;
        most_choices += choices > 1;
        world.add(std::move(prompt), limit, choices, static_cast<int>(random() % 3) - 1,
                  random() % 3);
      }
      if (world.open() > 0 && random() % 200 == 0) world.cancel(world.any(random));
      if (drafts) world.draft(random);
      world.step({.rows = 24,
                  .cost = random() % 2 == 0 ? &cost : nullptr,
                  .prefill_share = 0.1 * static_cast<double>(random() % 9)});
    }
    world.run_to_end({.rows = 24});
    EXPECT_EQ(world.open(), 0u);
    EXPECT_TRUE(world.pools().unused());
    EXPECT_GT(world.ended.size(), static_cast<std::size_t>(steps / 100));
    EXPECT_GT(most_choices, 100u);
    const Scheduler::Counters& counters = world.scheduler().counters();
    EXPECT_GT(counters.preemptions, static_cast<std::uint64_t>(steps / 1000));
    EXPECT_EQ(counters.prefix_hit_tokens > 0, prefix_cache);
    EXPECT_EQ(world.accepted > steps / 10, drafts);
    EXPECT_EQ(world.drafted > world.accepted + steps / 10, drafts);
  }
}

TEST(Scheduler, WhoCameFirstIsServedFirst) {
  World world({0}, {100}, {.batch_tokens = 16, .max_sequences = 1, .prefix_cache = false});
  const RequestId first = world.add(tokens(30), 40), second = world.add(tokens(5), 6),
                  urgent = world.add(tokens(50), 60, 1, -1);
  world.run_to_end({.rows = 16});
  EXPECT_EQ(world.order, (std::vector<RequestId>{urgent, first, second}));
}

// One tenant's hundred requests do not hold up the one request of another.
TEST(Scheduler, TenantsShareEvenly) {
  World world({0}, {100}, {.batch_tokens = 16, .max_sequences = 1, .prefix_cache = false});
  for (int i = 0; i < 40; ++i) world.add(tokens(32), 33, 1, 0, 1);
  for (int i = 0; i < 5; ++i) world.step({.rows = 16});
  std::vector<RequestId> others;
  for (int i = 0; i < 5; ++i) others.push_back(world.add(tokens(32), 33, 1, 0, 2));
  world.run_to_end({.rows = 16});
  for (std::size_t i = 0; i < others.size(); ++i) {
    const auto at = std::ranges::find(world.order, others[i]) - world.order.begin();
    EXPECT_LE(at, 2 * static_cast<std::ptrdiff_t>(i) + 6);
  }
}

TEST(Scheduler, ALongPromptDoesNotHoldUpOthers) {
  World world({0}, {600}, {.batch_tokens = 64, .max_sequences = 4, .prefix_cache = false});
  CostCurve cost;
  cost.set(1, 1.0);
  cost.set(2, 1.0);
  cost.set(4, 1.0);
  cost.set(8, 2.0);
  world.add(tokens(3), 300);
  world.step({.rows = 64, .cost = &cost});
  const RequestId big = world.add(tokens(4000, 1), 4001), small = world.add(tokens(20, 2), 21);
  int steps = 0;
  while (world.order.empty() || (world.order.size() == 1 && world.order[0] != small)) {
    const ScheduledStep step = world.step({.rows = 64, .cost = &cost, .prefill_share = 0.5});
    ASSERT_FALSE(step.empty());
    // While another prompt waits, up to five times the time of the decode alone; for the long one
    // by itself twice that time.
    const bool waits = world.scheduler().waiting().size() > 0 || step.runs.size() > 2;
    EXPECT_LE(step.load.rows, waits ? 20 : 8);
    ASSERT_LT(++steps, 20);
  }
  world.run_to_end({.rows = 64});
  EXPECT_NE(std::ranges::find(world.order, big), world.order.end());
}

TEST(Scheduler, APrefixIsComputedOnce) {
  World world({0, 40}, {200, 60}, {.batch_tokens = 64, .max_sequences = 4, .prefix_cache = true});
  const auto first_rows = [&](std::vector<TokenId> prompt) {
    const auto length = static_cast<std::int64_t>(prompt.size());
    world.add(std::move(prompt), length + 1);
    const std::int64_t rows = world.step({.rows = 64}).load.rows;
    world.run_to_end({.rows = 64});
    return rows;
  };
  EXPECT_EQ(first_rows(tokens(60)), 60);
  EXPECT_EQ(first_rows(tokens(60)), 60 - 48);
  EXPECT_EQ(first_rows(tokens(49)), 1);
  EXPECT_EQ(first_rows(tokens(48)), 16);  // the last token is always computed
  EXPECT_EQ(first_rows(tokens(60, 1)), 60);
  // A salt of its own finds nothing.
  auto salted = std::make_unique<Sequence>(1000, tokens(60), 61, world.pools(), "secret");
  EXPECT_EQ(salted->keys.keys().size(), 0u);
  salted->keys.extend(salted->tokens);
  EXPECT_EQ(salted->blocks.adopt(salted->keys.keys()), 0);
}

// Drafts take blocks that nobody wants, and no more: with them nobody is preempted who would not be
// without, and nobody waits longer for a place.
TEST(Scheduler, DraftsGiveWay) {
  const auto steps_to_end = [](bool drafts) {
    World world({0}, {14}, {.batch_tokens = 64, .max_sequences = 4, .prefix_cache = false});
    for (TokenId i = 0; i < 4; ++i) world.add(tokens(40, i), 44);
    int steps = 0;
    for (; !world.scheduler().idle() && steps < 1000; ++steps) {
      if (drafts)
        for (const auto& s : world.scheduler().running())
          if (s->uncomputed_tokens() == 1) s->draft.assign(50, 6);
      world.step({.rows = 64});
    }
    EXPECT_EQ(world.scheduler().counters().preemptions, 0u);
    return steps;
  };
  EXPECT_LE(steps_to_end(true), steps_to_end(false));
}

// Of 32 streams of 256 tokens in the mean only the last block of each has empty slots.
TEST(Scheduler, WastesFewSlots) {
  std::mt19937 random(9);
  World world({0}, {2000}, {.batch_tokens = 128, .max_sequences = 32, .prefix_cache = false});
  double sum = 0;
  int steps = 0;
  for (int step = 0; step < 1000; ++step) {
    while (world.open() < 32) {
      const std::size_t prompt = 100 + random() % 320;
      std::vector<TokenId> text = tokens(prompt, static_cast<TokenId>(random() % 1000));
      world.add(std::move(text), static_cast<std::int64_t>(prompt + 20 + random() % 100));
    }
    world.step({.rows = 128});
    if (step < 100) continue;  // while all fill up
    sum += world.scheduler().waste();
    ++steps;
  }
  EXPECT_LT(sum / steps, 0.04);
}

TEST(StepBudget, TheShareGrowsWithTheQueue) {
  CostCurve cost;
  for (int i = 0; i < 8; ++i) cost.set(1 << i, 1.0 * (1 << i));
  const StepBudget budget{
      .rows = 128, .cost = &cost, .prefill_share = 0.4, .most_prefill_share = 0.75};
  EXPECT_DOUBLE_EQ(budget.share(8, 0), 0.4);
  EXPECT_GT(budget.share(8, 1), 0.5);
  EXPECT_DOUBLE_EQ(budget.share(1, 100), 0.75);
  EXPECT_EQ(budget.prefill_rows({8, 0}, 0, 0), 5);     // 8 / 0.6 = 13.3
  EXPECT_EQ(budget.prefill_rows({8, 0}, 0, 100), 24);  // 8 / 0.25
  EXPECT_EQ(budget.prefill_rows({0, 0}, 0, 0), 64);    // alone: no fewer
  const StepBudget rows_alone{.rows = 128};
  EXPECT_EQ(rows_alone.prefill_rows({8, 0}, 0, 0), 120);
  // What a curve has only seen of steps is not enough to budget by.
  CostCurve seen;
  for (int i = 0; i < 8; ++i) seen.observe({1 << i, 0}, 1.0 * (1 << i));
  const StepBudget by_rows{.rows = 128, .cost = &seen, .prefill_share = 0.4};
  EXPECT_EQ(by_rows.prefill_rows({8, 0}, 0, 0), 120);
}

}  // namespace
}  // namespace ridgeline
