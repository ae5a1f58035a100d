// Control against numbers worked out by hand, and on simulated machines and texts whose truth is
// known. Time is simulated: none of this depends on the machine that runs it.

#include "ridgeline/engine/speculation/draft_control.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <utility>

namespace ridgeline {
namespace {

constexpr int kLookup = 0, kModel = 1;
constexpr std::uint8_t kClass = 4;

Draft draft_of(int length, std::uint8_t confidence = kClass) {
  Draft draft;
  draft.tokens.assign(static_cast<std::size_t>(length), DraftToken{1, confidence});
  return draft;
}

DraftCandidate candidate_of(const DraftHistory& history, const Draft* lookup,
                            const Draft* model = nullptr, int most = 16) {
  return {.history = &history, .position = 0, .most = most, .drafts = {lookup, model}};
}

CostCurve curve(const std::function<double(std::int64_t)>& seconds, std::int64_t most = 128) {
  CostCurve cost;
  for (const std::int64_t rows : CostCurve::kKnots)
    if (rows <= most) cost.set(rows, seconds(rows));
  return cost;
}

/// So many outcomes that nothing else counts.
void teach(DraftControl& control, DraftHistory& history, int drafter, double rate,
           std::uint8_t confidence = kClass) {
  double due = 0;
  for (int i = 0; i < 3000; ++i) {
    due += rate;
    const bool hit = due >= 1 - 1e-9;
    if (hit) due -= 1;
    control.learn(history, drafter, confidence, hit);
  }
}

// T(rows) = 1 + (rows - 1) / 10, so T(4) = 1.3; acceptance 0.8.
//     k       0      2      3      4      5      6      7      8
//     E       1   2.44  2.952  3.362  3.689  3.951  4.161  4.329
//     T       1    1.2    1.3    1.4    1.5    1.6    1.7    1.8
//     E/T     1  2.033  2.271  2.401  2.460  2.470  2.448  2.405
// and with 0.1 for each drafted token, T + k / 10:
//     E/T     1  1.743  1.845  1.868  1.845  1.796
double gentle(std::int64_t rows) { return 1 + 0.1 * static_cast<double>(rows - 1); }

TEST(DraftControl, TakesTheLengthThatTheFormulaGives) {
  DraftControl control(2);
  DraftHistory history = control.new_history();
  teach(control, history, kLookup, 0.8);
  teach(control, history, kModel, 0.8);
  EXPECT_NEAR(control.hit_rate(history, kLookup, kClass), 0.8, 0.02);
  const CostCurve cost = curve(gentle);
  const Draft draft = draft_of(16), none;
  const DraftCandidate looked_up[] = {candidate_of(history, &draft)};
  const std::vector<DraftChoice> choice = control.choose(looked_up, cost, {}, 64);
  EXPECT_EQ(choice[0].drafter, kLookup);
  EXPECT_GE(choice[0].length, 5);
  EXPECT_LE(choice[0].length, 7);
  EXPECT_NEAR(choice[0].expected, 2.95, 0.3);
  const DraftCandidate alone[] = {candidate_of(history, nullptr)};
  const int asked = control.ask(kModel, alone, cost, {}, 0.1)[0];
  EXPECT_GE(asked, 3);
  EXPECT_LE(asked, 5);
  // What is looked up costs nothing, so there is nothing to ask for.
  EXPECT_EQ(control.ask(kModel, looked_up, cost, {}, 0.1)[0], 0);
  // Never more than there is, than the sequence may, than rows are left.
  EXPECT_EQ(control.choose(looked_up, cost, {}, 2)[0].length, 2);
  const DraftCandidate near_end[] = {candidate_of(history, &draft, nullptr, 3)};
  EXPECT_EQ(control.choose(near_end, cost, {}, 64)[0].length, 3);
  const DraftCandidate at_end[] = {candidate_of(history, &draft, nullptr, 0)};
  EXPECT_EQ(control.choose(at_end, cost, {}, 64)[0].length, 0);
  EXPECT_EQ(control.choose(looked_up, cost, {}, 0)[0].drafter, -1);
}

// Tiles of four rows: 2, 3 and 4 cost the same. At acceptance 0.35 one row more does not pay,
// three do: (1 + 0.35 + 0.1225 + 0.0429) / 1.4 = 1.082, but 1.35 / 1.4 < 1.
TEST(DraftControl, LooksBeyondAStepOfTheCurve) {
  DraftControl control(1);
  DraftHistory history = control.new_history();
  teach(control, history, 0, 0.35);
  const auto tiles = [](std::int64_t rows) {
    return rows == 1 ? 1.0 : 1.4 * static_cast<double>((rows + 3) / 4);
  };
  const Draft draft = draft_of(8);
  const DraftCandidate one[] = {candidate_of(history, &draft)};
  EXPECT_EQ(control.choose(one, curve(tiles), {}, 64)[0].length, 3);
  const Draft brief = draft_of(1);
  const DraftCandidate little[] = {candidate_of(history, &brief)};
  EXPECT_EQ(control.choose(little, curve(tiles), {}, 64)[0].length, 0);
}

// In a batch the rows go to those who will use them.
TEST(DraftControl, SharesRowsByHope) {
  DraftControl control(1);
  DraftHistory sure = control.new_history(), unsure = control.new_history();
  teach(control, sure, 0, 0.95);
  teach(control, unsure, 0, 0.3);
  const Draft draft = draft_of(6);
  const DraftCandidate both[] = {candidate_of(unsure, &draft), candidate_of(sure, &draft)};
  const std::vector<DraftChoice> choices = control.choose(both, curve(gentle), {}, 64);
  EXPECT_GE(choices[1].length, 5);
  EXPECT_LE(choices[0].length, 1);
}

TEST(DraftControl, UsesTheDrafterThatPaid) {
  DraftControl control(2);
  DraftHistory history = control.new_history();
  teach(control, history, kLookup, 0.3);
  teach(control, history, kModel, 0.9);
  const Draft looked_up = draft_of(16), model = draft_of(4);
  const DraftCandidate one[] = {candidate_of(history, &looked_up, &model)};
  EXPECT_EQ(control.choose(one, curve(gentle), {}, 64)[0].drafter, kModel);
  teach(control, history, kLookup, 0.95);
  EXPECT_EQ(control.choose(one, curve(gentle), {}, 64)[0].drafter, kLookup);
}

// Classes are told apart: a draft is followed while it is sure.
TEST(DraftControl, FollowsADraftWhileItIsSure) {
  DraftControl control(1);
  DraftHistory history = control.new_history();
  teach(control, history, 0, 0.95, 7);
  teach(control, history, 0, 0.1, 0);
  Draft draft = draft_of(8, 7);
  for (std::size_t i = 3; i < 8; ++i) draft.tokens[i].confidence = 0;
  const DraftCandidate one[] = {candidate_of(history, &draft)};
  EXPECT_EQ(control.choose(one, curve(gentle), {}, 64)[0].length, 3);
}

// Nobody tells it so: a step's time is proportional to its rows.
TEST(DraftControl, StandsDownWhenTheMachineIsFull) {
  DraftControl control(2);
  const Draft draft = draft_of(16);
  const CostCurve cost =
      curve([](std::int64_t rows) { return std::max(1.0, static_cast<double>(rows) / 16); });
  for (const int batch : {1, 4, 16, 32}) {
    std::vector<DraftHistory> histories(static_cast<std::size_t>(batch), control.new_history());
    std::vector<DraftCandidate> candidates;
    for (DraftHistory& history : histories) {
      teach(control, history, kLookup, 0.9);
      teach(control, history, kModel, 0.9);
      candidates.push_back(candidate_of(history, &draft));
    }
    std::int64_t rows = 0;
    for (const DraftChoice& choice : control.choose(candidates, cost, {}, 1024))
      rows += choice.length;
    EXPECT_EQ(rows, std::max(0, 16 - batch)) << batch;
    for (DraftCandidate& candidate : candidates) candidate.drafts = {nullptr, nullptr};
    int asked = 0;
    for (const int length : control.ask(kModel, candidates, cost, {}, 0.02)) asked += length;
    EXPECT_EQ(asked > 0, batch < 16) << batch;
  }
}

// Beside a prompt that fills the machine a drafted row takes as long as one of the prompt's.
TEST(DraftControl, DoesNotSlowAPromptForNothing) {
  DraftControl control(1);
  DraftHistory history = control.new_history();
  teach(control, history, 0, 0.6);
  const CostCurve cost =
      curve([](std::int64_t rows) { return std::max(1.0, static_cast<double>(rows) / 16); });
  const Draft draft = draft_of(8);
  const DraftCandidate one[] = {candidate_of(history, &draft)};
  EXPECT_GT(control.choose(one, cost, {}, 64)[0].length, 4);
  EXPECT_GT(control.choose(one, cost, {8, 36}, 64)[0].length, 4);
  EXPECT_EQ(control.choose(one, cost, {100, 5050}, 64)[0].length, 0);
}

TEST(DraftControl, WaitsUntilPlainDecodingIsKnown) {
  DraftControl control(1);
  DraftHistory history = control.new_history();
  teach(control, history, 0, 0.9);
  const Draft draft = draft_of(8);
  const DraftCandidate one[] = {candidate_of(history, &draft)};
  CostCurve cost;
  EXPECT_EQ(control.choose(one, cost, {}, 64)[0].length, 0);
  cost.observe({100, 0}, 10.0);  // the prompt
  EXPECT_EQ(control.choose(one, cost, {}, 64)[0].length, 0);
  cost.observe({1, 0}, 1.0);
  EXPECT_GT(control.choose(one, cost, {}, 64)[0].length, 3);
}

TEST(DraftControl, NewSequencesExpectWhatOthersFound) {
  DraftControl control(1);
  DraftHistory first = control.new_history();
  teach(control, first, 0, 0.9);
  EXPECT_NEAR(control.hit_rate(control.new_history(), 0, kClass), 0.9, 0.02);
  DraftHistory second = control.new_history();
  for (int i = 0; i < 20; ++i) control.learn(second, 0, kClass, false);
  EXPECT_LT(control.hit_rate(second, 0, kClass), 0.2);
  EXPECT_NEAR(control.hit_rate(first, 0, kClass), 0.9, 0.02);
}

// 512 tokens of backlog are worth catching up with for a long answer, not for a short one.
TEST(DraftControl, CatchesUpWhereItPays) {
  DraftControl control(2);
  DraftHistory history = control.new_history();
  teach(control, history, kModel, 0.8);
  const CostCurve cost = curve(gentle);
  // 1.868 tokens in the time of one: each token saves 1 - 1 / 1.868 = 0.465.
  DraftCandidate one = candidate_of(history, nullptr);
  const auto asked = [&] { return control.ask(kModel, {&one, 1}, cost, {}, 0.1)[0] > 0; };
  one.backlog_seconds = 25;
  EXPECT_FALSE(asked());  // 32 tokens save 15
  one.generated = 40;
  EXPECT_FALSE(asked());  // 18.6
  one.generated = 70;
  EXPECT_TRUE(asked());  // 32.6
  one.left = 20;
  EXPECT_FALSE(asked());
}

TEST(DraftControl, PlainSecondsAreThoseOfAsManySteps) {
  const CostCurve cost = curve(gentle);
  EXPECT_DOUBLE_EQ(DraftControl::plain_seconds(cost, {}, {1, 1}, 4), 4.0);
  EXPECT_DOUBLE_EQ(DraftControl::plain_seconds(cost, {}, {2, 2}, 6), 3 * 1.1);
  // A prompt of eight rows is computed once.
  EXPECT_DOUBLE_EQ(DraftControl::plain_seconds(cost, {8, 36}, {1, 1}, 3), 1.8 + 2.0);
}

/// What a model takes to read a token, of what it takes to draft one.
constexpr double kReading = 1.0 / 30;

/// Engine, machine and texts.
struct World {
  std::function<double(std::int64_t)> truth = gentle;  ///< of a forward pass over so many rows
  double noise = 0.07;                                 ///< lognormal
  bool slowdowns = true;                               ///< now and then all takes twice as long
  /// Probability that a drafted token is right: by drafter and place in the text.
  std::function<double(int, std::int64_t)> acceptance;
  bool lookup = true;
  double draft_seconds = 0;  ///< of the model, for each token; 0: there is none
  std::int64_t prompt = 0;   ///< tokens that the model has to read first
  int batch = 1;
  std::int64_t tokens = 4000;  ///< of each sequence
  int texts = 1;               ///< one after the other
  bool measured = true;
  unsigned seed = 1;
};

struct Outcome {
  double seconds = 0;  ///< of the true curve, without noise and slowdowns
  std::int64_t tokens = 0, steps = 0, checked = 0;
  double expected = 0;             ///< tokens, as the checked lengths have it in the mean
  std::vector<double> seconds_at;  ///< by token of the first sequence

  double rate() const { return static_cast<double>(tokens) / seconds; }
};

class Simulation {
 public:
  explicit Simulation(const World& world) : world_(world), random_(world.seed) {
    if (world.measured)
      for (const std::int64_t rows : CostCurve::kKnots)
        if (rows <= 256) cost_.set(rows, std::min(take(rows), take(rows)));
    cost_.observe({100, 0}, take(100));
  }

  Outcome run() {
    for (int text = 0; text < world_.texts; ++text) {
      const auto batch = static_cast<std::size_t>(world_.batch);
      histories_.assign(batch, control_.new_history());
      done_.assign(batch, 0);
      unread_.assign(batch, world_.prompt);
      while (*std::ranges::min_element(done_) < world_.tokens) step();
    }
    return std::move(outcome_);
  }

 private:
  double take(std::int64_t rows) {
    if (world_.slowdowns && random_() % 300 == 0) slow_ = 50;
    if (slow_ > 0) --slow_;
    return world_.truth(rows) * std::exp(world_.noise * normal_(random_)) * (slow_ > 0 ? 2 : 1);
  }
  /// Of the model, beside the token that it drafts from.
  double read_seconds(std::int64_t tokens) const {
    return kReading * world_.draft_seconds * static_cast<double>(tokens);
  }
  int right(int drafter, std::int64_t from, int most) {
    int count = 0;
    while (count < most && uniform_(random_) < world_.acceptance(drafter, from + count)) ++count;
    return count;
  }
  void judge(std::size_t i, int drafter, int drafted, int right) {
    for (int j = 0; j < std::min(drafted, right + 1); ++j)
      control_.learn(histories_[i], drafter, kClass, j < right);
  }

  void step() {
    const std::size_t batch = histories_.size();
    const Draft looked_up = draft_of(world_.lookup ? 16 : 0);
    std::vector<DraftCandidate> candidates;
    for (std::size_t i = 0; i < batch; ++i) {
      candidates.push_back(candidate_of(histories_[i], &looked_up));
      candidates.back().generated = done_[i];
      candidates.back().left = world_.tokens - done_[i];
      candidates.back().backlog_seconds = read_seconds(unread_[i]);
    }
    std::vector<Draft> drafts(batch);
    double drafting = 0;
    if (world_.draft_seconds > 0) {
      const std::vector<int> asked =
          control_.ask(kModel, candidates, cost_, {}, world_.draft_seconds);
      for (std::size_t i = 0; i < batch; ++i) {
        drafts[i] = draft_of(asked[i]);
        candidates[i].drafts[kModel] = &drafts[i];
        drafting += asked[i] * world_.draft_seconds;
        if (asked[i] == 0) continue;
        drafting += read_seconds(std::exchange(unread_[i], 0));
      }
    }
    const std::vector<DraftChoice> choices = control_.choose(candidates, cost_, {}, 1000, drafting);
    auto rows = static_cast<std::int64_t>(batch);
    for (const DraftChoice& choice : choices) rows += choice.length;
    const double took = take(rows);
    cost_.observe({rows, 0}, took);
    control_.add_step(took + drafting);
    outcome_.seconds += world_.truth(rows) + drafting;
    for (std::size_t i = 0; i < batch; ++i) {
      const int of_lookup = right(kLookup, done_[i], 16), of_model = right(kModel, done_[i], 16);
      judge(i, kLookup, world_.lookup ? 16 : 0, of_lookup);
      judge(i, kModel, static_cast<int>(drafts[i].tokens.size()), of_model);
      const int hits = choices[i].drafter == kLookup ? of_lookup : of_model;
      double reach = 1;
      for (int j = 0; j <= choices[i].length; ++j) {
        outcome_.expected += reach;
        reach *= world_.acceptance(choices[i].drafter, done_[i] + j);
      }
      const std::int64_t more = 1 + std::min(choices[i].length, hits);
      done_[i] += more;
      // What it drafted itself it has read, but for the last token.
      const auto drafted = static_cast<int>(drafts[i].tokens.size());
      unread_[i] += drafted == 0 ? more : of_model >= drafted ? 1 : 0;
      outcome_.tokens += more;
    }
    outcome_.seconds_at.resize(static_cast<std::size_t>(done_[0]), outcome_.seconds);
    outcome_.checked += rows - static_cast<std::int64_t>(batch);
    ++outcome_.steps;
  }

  World world_;
  std::mt19937 random_;
  std::normal_distribution<double> normal_;
  std::uniform_real_distribution<double> uniform_;
  DraftControl control_{2};
  CostCurve cost_;
  std::vector<DraftHistory> histories_;
  std::vector<std::int64_t> done_, unread_;
  int slow_ = 0;
  Outcome outcome_;
};

double plain_rate(const World& world) {
  return static_cast<double>(world.batch) / world.truth(world.batch);
}

/// Of the best fixed length, for an acceptance that stays.
double best_fixed_rate(const World& world, double acceptance, double draft_seconds) {
  double best = 0, expected = 0, reach = 1;
  for (int k = 0; k <= 16; ++k, reach *= acceptance) {
    expected += reach;
    best = std::max(best, expected / (world.truth(1 + k) + k * draft_seconds));
  }
  return best;
}

/// Weights are read until multiplying takes longer, in tiles of four rows.
double tiled(std::int64_t rows) {
  return std::max(1 + 0.02 * static_cast<double>(rows),
                  0.14 * static_cast<double>((rows + 3) / 4 * 4) + 0.3) /
         1.02;
}

TEST(DraftControlSimulated, LosesNothingWhereNothingIsRight) {
  for (const auto& truth : {gentle, tiled})
    for (const bool measured : {true, false})
      for (const double draft_seconds : {0.0, 0.1, 0.3})
        for (const unsigned seed : {1U, 2U, 3U}) {
          const World world{.truth = truth,
                            .acceptance = [](int, std::int64_t) { return 0.0; },
                            .draft_seconds = draft_seconds,
                            .tokens = 1000,
                            .measured = measured,
                            .seed = seed};
          EXPECT_GT(Simulation(world).run().rate(), plain_rate(world) / 1.03)
              << measured << " " << draft_seconds << " " << seed;
        }
}

TEST(DraftControlSimulated, ComesNearTheBestFixedLength) {
  for (const auto& truth : {gentle, tiled})
    for (const bool measured : {true, false})
      for (const double draft_seconds : {0.0, 0.1, 0.2})
        for (const double acceptance : {0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95}) {
          const World world{.truth = truth,
                            .acceptance = [&](int, std::int64_t) { return acceptance; },
                            .lookup = draft_seconds == 0,
                            .draft_seconds = draft_seconds,
                            .tokens = 6000,
                            .measured = measured};
          const Outcome outcome = Simulation(world).run();
          // A curve that learns from the steps alone takes longer until it is right.
          EXPECT_GT(outcome.expected / outcome.seconds,
                    (measured ? 0.95 : 0.8) * best_fixed_rate(world, acceptance, draft_seconds))
              << measured << " " << draft_seconds << " " << acceptance;
        }
}

// Short texts, each with a prompt that the model has to read before it can be wrong.
TEST(DraftControlSimulated, LosesLittleOnShortTexts) {
  for (const std::int64_t prompt : {64, 512, 4096})
    for (const std::int64_t tokens : {32, 128, 512})
      for (const double draft_seconds : {0.1, 0.3})
        for (const int texts : {1, 20}) {
          const World world{.acceptance = [](int, std::int64_t) { return 0.0; },
                            .lookup = false,
                            .draft_seconds = draft_seconds,
                            .prompt = prompt,
                            .tokens = tokens,
                            .texts = texts};
          const Outcome outcome = Simulation(world).run();
          // A new engine gives its draft model a chance: a prompt is read, and some drafts checked.
          const double first = kReading * draft_seconds * static_cast<double>(prompt) + 3;
          const double plain = static_cast<double>(outcome.tokens) / plain_rate(world);
          EXPECT_LT(outcome.seconds, 1.02 * plain + first)
              << prompt << " " << tokens << " " << draft_seconds << " " << texts;
        }
}

// Acceptance 0, then 0.9, then 0 again: what a change costs, in steps' time.
TEST(DraftControlSimulated, FollowsTheText) {
  for (const double draft_seconds : {0.0, 0.1})
    for (const unsigned seed : {1U, 2U, 3U}) {
      const World world{
          .acceptance =
              [](int, std::int64_t token) { return token >= 1000 && token < 2000 ? 0.9 : 0.0; },
          .lookup = draft_seconds == 0,
          .draft_seconds = draft_seconds,
          .tokens = 3000,
          .seed = seed};
      const std::vector<double> at = Simulation(world).run().seconds_at;
      const double best = best_fixed_rate(world, 0.9, draft_seconds);
      const auto lost = [&](std::size_t from, std::size_t to, double rate) {
        return at[to] - at[from] - static_cast<double>(to - from) / rate;
      };
      const bool asked = draft_seconds > 0;
      EXPECT_LT(lost(0, 1000, 1), 20) << draft_seconds << " " << seed;
      EXPECT_LT(lost(1000, 2000, best), asked ? 50 : 30) << draft_seconds << " " << seed;
      EXPECT_LT(lost(2000, 2100, 1), asked ? 30 : 20) << draft_seconds << " " << seed;
      EXPECT_LT(lost(2100, 2999, 1), asked ? 30 : 10) << draft_seconds << " " << seed;
    }
}

// Phases so short that what was learned is wrong again.
TEST(DraftControlSimulated, LosesNothingOnTextsThatMislead) {
  for (const double draft_seconds : {0.0, 0.1, 0.3})
    for (const std::int64_t phase : {5, 20, 100, 300}) {
      World world{
          .acceptance = [&](int, std::int64_t token) { return token / phase % 8 == 0 ? 0.9 : 0.0; },
          .lookup = draft_seconds == 0,
          .draft_seconds = draft_seconds};
      const double rate = Simulation(world).run().rate() / plain_rate(world);
      EXPECT_GT(rate, 0.97) << draft_seconds << " " << phase;
    }
}

TEST(DraftControlSimulated, StandsDownInLargeBatches) {
  for (const int batch : {1, 2, 4, 8, 16, 32, 64}) {
    World world{
        .truth = [](std::int64_t rows) { return std::max(1.0, static_cast<double>(rows) / 12); },
        .acceptance = [](int, std::int64_t) { return 0.7; },
        .draft_seconds = 0.02 * batch,
        .batch = batch};
    world.tokens = 500;
    const Outcome outcome = Simulation(world).run();
    const double rate = outcome.rate() / plain_rate(world);
    EXPECT_GT(rate, batch <= 4 ? 1.3 : 0.97) << batch;
  }
}

}  // namespace
}  // namespace ridgeline
