#include "ridgeline/engine/speculation/draft_control.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "ridgeline/base/check.h"
#include "ridgeline/engine/speculation/draft_plan.h"

namespace ridgeline {
namespace {

// Trials after which an outcome counts half.
constexpr double kSequenceHalfLife = 64;
constexpr double kRecentHalfLife = 6;
constexpr double kEngineHalfLife = 1000;
/// Steps of silence after which a sequence's own outcomes count half.
constexpr double kSilenceHalfLife = 128;
/// Trials that the expectation from other sequences counts like, and the guess before the first.
constexpr double kExpectedTrials = 3;
constexpr double kGuessTrials = 3;
/// That guess of a drafter that has yet to draft: worth a try or two.
constexpr double kFirstGuess = 0.6;
/// Recent outcomes so many standard deviations below or above the older ones: the text has
/// changed, and the older ones are forgotten.
constexpr double kSadSurprise = 2.5, kGladSurprise = 3;
/// Of the variance of an outcome, for rates near 0 and 1, which are never known that well.
constexpr double kLeastVariance = 0.09;

constexpr int kProbeTokens = 3;
/// A sequence is expected to go on for as long as it has (Lindy's law), and at least for this.
constexpr std::int64_t kFewestLeft = 32;

double fade(double half_life) { return std::exp2(-1 / half_life); }

void add_trial(double& hits, double& trials, bool hit, double half_life) {
  hits = hits * fade(half_life) + (hit ? 1 : 0);
  trials = trials * fade(half_life) + 1;
}

/// `hits` of `trials` where `expected` was expected, which counts like `weight` trials.
double shrunk(double hits, double trials, double expected, double weight) {
  return (hits + weight * expected) / (trials + weight);
}

/// Classes are ordered; a drafter that knows probabilities has them equally spaced.
double guess(int confidence) { return (confidence + 0.5) / kConfidenceClasses; }

HitRate sum(const std::array<HitRate, kConfidenceClasses>& rates) {
  HitRate all;
  for (const HitRate& rate : rates) {
    all.hits += rate.hits;
    all.trials += rate.trials;
  }
  return all;
}

bool changed(const HitRate& rate) {
  const double mean = rate.hits / rate.trials;
  const double variance = std::max(kLeastVariance, mean * (1 - mean));
  const double difference = rate.recent_hits / rate.recent_trials - mean;
  const double deviations = difference * std::sqrt(rate.recent_trials / variance);
  return deviations < -kSadSurprise || deviations > kGladSurprise;
}

DraftOption expectation(int drafter, double hit_rate, int most, double seconds_each) {
  DraftOption option{.drafter = drafter, .reach = {}, .seconds_each = seconds_each};
  double reach = 1;
  for (int i = 0; i < most; ++i) option.reach.push_back(reach *= hit_rate);
  return option;
}

/// The drafts that are there, as options.
DraftSlot slot_of(const DraftControl& control, const DraftCandidate& candidate) {
  DraftSlot slot{.position = candidate.position, .options = {}};
  for (std::size_t d = 0; d < candidate.drafts.size(); ++d) {
    const Draft* draft = candidate.drafts[d];
    if (draft == nullptr || draft->tokens.empty()) continue;
    DraftOption option{.drafter = static_cast<int>(d), .reach = {}, .seconds_each = 0};
    double reach = 1;
    for (const DraftToken& token : draft->tokens) {
      if (static_cast<int>(option.reach.size()) >= candidate.most) break;
      reach *= control.hit_rate(*candidate.history, option.drafter, token.confidence);
      option.reach.push_back(reach);
    }
    slot.options.push_back(std::move(option));
  }
  return slot;
}

StepLoad next_rows(std::span<const DraftCandidate> candidates) {
  StepLoad load;
  for (const DraftCandidate& candidate : candidates) load = load + load_of(candidate.position, 1);
  return load;
}

constexpr std::int64_t kAnyRows = std::numeric_limits<std::int64_t>::max();

}  // namespace

DraftControl::DraftControl(int drafters) : all_(static_cast<std::size_t>(drafters)) {}

DraftHistory DraftControl::new_history() const {
  return {.rates = std::vector<Rates>(all_.size()),
          .heard = std::vector<std::uint64_t>(all_.size(), steps_)};
}

double DraftControl::freshness(const DraftHistory& history, int drafter) const {
  const std::uint64_t silence = steps_ - history.heard[static_cast<std::size_t>(drafter)];
  return std::exp2(-static_cast<double>(silence) / kSilenceHalfLife);
}

double DraftControl::hit_rate(const DraftHistory& history, int drafter, int confidence) const {
  const auto d = static_cast<std::size_t>(drafter), c = static_cast<std::size_t>(confidence);
  RIDGELINE_CHECK(d < all_.size() && c < kConfidenceClasses);
  const HitRate &own = history.rates[d][c], &others = all_[d][c];
  const double expected = shrunk(others.hits, others.trials, guess(confidence), kGuessTrials);
  const double fresh = freshness(history, drafter);
  return shrunk(fresh * own.hits, fresh * own.trials, expected, kExpectedTrials);
}

double DraftControl::hit_rate(const DraftHistory& history, int drafter) const {
  const auto d = static_cast<std::size_t>(drafter);
  RIDGELINE_CHECK(d < all_.size());
  const HitRate own = sum(history.rates[d]), others = sum(all_[d]);
  const double expected = shrunk(others.hits, others.trials, kFirstGuess, kGuessTrials);
  const double fresh = freshness(history, drafter);
  return shrunk(fresh * own.hits, fresh * own.trials, expected, kExpectedTrials);
}

void DraftControl::learn(DraftHistory& history, int drafter, int confidence, bool hit) {
  const auto d = static_cast<std::size_t>(drafter), c = static_cast<std::size_t>(confidence);
  RIDGELINE_CHECK(d < all_.size() && c < kConfidenceClasses);
  const double fresh = freshness(history, drafter);
  history.heard[d] = steps_;
  for (HitRate& rate : history.rates[d]) {
    rate.hits *= fresh;
    rate.trials *= fresh;
  }
  HitRate& own = history.rates[d][c];
  add_trial(own.hits, own.trials, hit, kSequenceHalfLife);
  add_trial(own.recent_hits, own.recent_trials, hit, kRecentHalfLife);
  if (changed(own)) {
    own.hits = own.recent_hits;
    own.trials = own.recent_trials;
  }
  add_trial(all_[d][c].hits, all_[d][c].trials, hit, kEngineHalfLife);
}

void DraftControl::add_step(double seconds) {
  ++steps_;
  step_seconds_ +=
      (seconds - step_seconds_) / static_cast<double>(std::min<std::uint64_t>(steps_, 32));
  seconds_since_probe_ += seconds;
}

/// What the drafts would save over the tokens to come is more than catching up takes.
bool DraftControl::pays_off(const DraftCandidate& candidate, const DraftOption& option,
                            const CostCurve& cost, const StepLoad& others) const {
  std::vector<DraftSlot> slots{slot_of(*this, candidate)};
  const DraftPlan without = best_plan(slots, cost, others, kAnyRows);
  slots[0].options.push_back(option);
  const DraftPlan with = best_plan(slots, cost, others, kAnyRows);
  const double saved = with.work / without.rate() - with.seconds;
  const std::int64_t left = std::min(std::max(candidate.generated, kFewestLeft), candidate.left);
  const double steps = static_cast<double>(left) / (1 + with.parts[0].expected);
  return with.rate() > (1 + kMargin) * without.rate() && steps * saved > candidate.backlog_seconds;
}

std::vector<int> DraftControl::ask(int drafter, std::span<const DraftCandidate> candidates,
                                   const CostCurve& cost, const StepLoad& beside,
                                   double seconds_each) {
  std::vector<int> lengths(candidates.size(), 0);
  const StepLoad plain = beside + next_rows(candidates);
  if (plain_is_due() || !cost.known(plain.rows)) return lengths;
  std::vector<DraftSlot> slots;
  for (const DraftCandidate& candidate : candidates) slots.push_back(slot_of(*this, candidate));
  const DraftPlan without = best_plan(slots, cost, beside, kAnyRows);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const DraftCandidate& candidate = candidates[i];
    DraftOption option =
        expectation(drafter, hit_rate(*candidate.history, drafter), candidate.most, seconds_each);
    const StepLoad others = plain - load_of(candidate.position, 1);
    if (candidate.backlog_seconds <= 0 || pays_off(candidate, option, cost, others))
      slots[i].options.push_back(std::move(option));
  }
  const DraftPlan with = best_plan(slots, cost, beside, kAnyRows);
  bool asked = false;
  if (with.rate() > (1 + kMargin) * without.rate()) {
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const DraftPlan::Part& part = with.parts[i];
      if (part.option < 0 ||
          slots[i].options[static_cast<std::size_t>(part.option)].drafter != drafter)
        continue;
      lengths[i] = part.length;
      asked = true;
    }
  }
  if (!asked) probe(drafter, candidates, cost, plain, seconds_each, lengths);
  return lengths;
}

/// Of those for whom the drafter would pay if it were always right, the one of whom nothing was
/// heard for the longest time.
void DraftControl::probe(int drafter, std::span<const DraftCandidate> candidates,
                         const CostCurve& cost, const StepLoad& plain, double seconds_each,
                         std::span<int> lengths) {
  const auto d = static_cast<std::size_t>(drafter);
  std::size_t chosen = candidates.size();
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const DraftCandidate& candidate = candidates[i];
    const int tokens = std::min(kProbeTokens, candidate.most);
    const double seconds = tokens * seconds_each + candidate.backlog_seconds;
    const double generating = static_cast<double>(candidate.generated) * step_seconds_;
    if (tokens <= 0 || seconds > kProbeShare * seconds_since_probe_ ||
        seconds > kSequenceProbeShare * generating)
      continue;
    if (chosen < candidates.size() &&
        candidate.history->heard[d] >= candidates[chosen].history->heard[d])
      continue;
    const StepLoad others = plain - load_of(candidate.position, 1);
    const DraftOption best = expectation(drafter, 1, candidate.most, seconds_each);
    if (pays_off(candidate, best, cost, others)) chosen = i;
  }
  if (chosen == candidates.size()) return;
  lengths[chosen] = std::min(kProbeTokens, candidates[chosen].most);
  seconds_since_probe_ = 0;
}

std::vector<DraftChoice> DraftControl::choose(std::span<const DraftCandidate> candidates,
                                              const CostCurve& cost, const StepLoad& beside,
                                              std::int64_t rows, double drafting_seconds) {
  std::vector<DraftChoice> choices(candidates.size());
  const bool due = plain_is_due();
  const int checks = std::exchange(checks_in_a_row_, 0);
  if (due || !cost.known((beside + next_rows(candidates)).rows)) return choices;
  std::vector<DraftSlot> slots;
  for (const DraftCandidate& candidate : candidates) slots.push_back(slot_of(*this, candidate));
  const DraftPlan plain = plain_plan(slots, cost, beside, drafting_seconds);
  const DraftPlan best = best_plan(slots, cost, beside, rows, drafting_seconds);
  if (best.rate() <= (1 + kMargin) * plain.rate()) return choices;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const DraftPlan::Part& part = best.parts[i];
    if (part.option < 0) continue;
    choices[i] = {slots[i].options[static_cast<std::size_t>(part.option)].drafter, part.length,
                  part.expected};
  }
  checks_in_a_row_ = checks + 1;
  return choices;
}

double DraftControl::plain_seconds(const CostCurve& cost, const StepLoad& beside,
                                   const StepLoad& decodes, std::int64_t tokens) {
  if (decodes.rows == 0) return cost.seconds(beside);
  const double further =
      static_cast<double>(tokens - decodes.rows) / static_cast<double>(decodes.rows);
  return cost.seconds(beside + decodes) + std::max(0.0, further) * cost.seconds(decodes);
}

}  // namespace ridgeline
