#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "ridgeline/engine/cost_curve.h"
#include "ridgeline/engine/speculation/drafter.h"

namespace ridgeline {

struct DraftOption;

/// How often drafted tokens were right, each given that those before it were, with old outcomes
/// fading. Of one drafter and one class.
struct HitRate {
  double hits = 0, trials = 0;
  double recent_hits = 0, recent_trials = 0;  ///< fading fast
};

/// What one sequence knows of its drafters.
struct DraftHistory {
  std::vector<std::array<HitRate, kConfidenceClasses>> rates;  ///< [drafter][class]
  std::vector<std::uint64_t> heard;  ///< [drafter]: the control's step of the last outcome
};

/// One sequence of a step that could be given drafts to check.
struct DraftCandidate {
  const DraftHistory* history = nullptr;
  std::int64_t position = 0;  ///< of its next row
  int most = 0;               ///< drafted tokens at most
  /// [drafter]: what it proposes; null or empty: nothing.
  std::vector<const Draft*> drafts;

  // For ask().
  std::int64_t generated = 0;                                    ///< tokens so far
  std::int64_t left = std::numeric_limits<std::int64_t>::max();  ///< at most to come
  /// What the drafter has to catch up with before it drafts for this sequence.
  double backlog_seconds = 0;
};

/// Which draft a sequence's rows check, and how much of it.
struct DraftChoice {
  int drafter = -1;
  int length = 0;
  double expected = 0;  ///< tokens accepted
};

/// Decides how many drafted tokens a step checks, so that the work per second is as much as it
/// can be. Token j of a draft is right, with all before it, with probability
/// P_j = h_1 * ... * h_j, where h is the measured hit rate of its drafter and class; a step that
/// computes `beside` and checks some drafts of the candidates then has
///
///     work / time = (rows beside + sum over candidates of (1 + sum of P_j))
///                   / (cost.seconds(all rows) + seconds spent on drafting).
///
/// Rows beside are prompts and sequences without drafts: a row of them is a token's work done,
/// so drafts slow a prompt only if they bring more than the prompt gets done in that time. The
/// total of rows with the best ratio is taken, with the rows of the highest P_j; no drafts at
/// all, unless another total is better by kMargin. When a step's time is proportional to its
/// rows the ratio falls with every row that is not certain: nothing is checked.
class DraftControl {
 public:
  static constexpr double kMargin = 0.01;
  /// Of the time, what asking a drafter may cost that does not pay, to learn of a change: of all
  /// time since it was last asked for that reason, and of the time that a sequence has generated.
  /// What was saved up is gone then, or a drafter at fault would be asked again and again.
  static constexpr double kProbeShare = 0.01, kSequenceProbeShare = 0.02;
  /// After so many steps with checks one goes without: what plain decoding takes is measured
  /// afresh, and nothing else would tell that it has become the faster way.
  static constexpr int kPlainEvery = 128;

  explicit DraftControl(int drafters);

  DraftHistory new_history() const;
  /// Probability that a token is right, given that those before it are.
  double hit_rate(const DraftHistory& history, int drafter, int confidence) const;
  /// The same of a drafter's next token, whose class is yet to be seen.
  double hit_rate(const DraftHistory& history, int drafter) const;
  /// A drafted token that all before it were right in turned out right, or not. To be called for
  /// every token of every draft up to its first miss, checked or not: what nobody checks is
  /// compared with what the sequence then says, so drafts that do not pay go on being judged.
  void learn(DraftHistory& history, int drafter, int confidence, bool hit);
  /// A step was run and took so long, drafting included.
  void add_step(double seconds);

  /// How many tokens to ask of a drafter that costs time, for each of the candidates (0: not
  /// asked), before it drafts; the candidates have the drafts of those that cost none.
  /// `seconds_each`: what one more drafted token takes it. A backlog is caught up with if what
  /// the drafts should save is more, over as many tokens as the sequence has generated, or
  /// at least 32. Who does not pay is asked now and then nevertheless, within kProbeShare.
  std::vector<int> ask(int drafter, std::span<const DraftCandidate> candidates,
                       const CostCurve& cost, const StepLoad& beside, double seconds_each);
  /// For each candidate what to check beside `beside`, the rows of others and of prompts;
  /// `rows`: that may be added at most; `drafting_seconds`: spent on the drafts. The
  /// candidates' own next rows are not in `beside`. To be called in every step that has
  /// candidates.
  std::vector<DraftChoice> choose(std::span<const DraftCandidate> candidates, const CostCurve& cost,
                                  const StepLoad& beside, std::int64_t rows,
                                  double drafting_seconds = 0);

  /// What plain decoding would have taken for `tokens`, which a step brought the sequences whose
  /// next rows are `decodes`, at least one each, beside `beside`: that step without drafts, and
  /// for the rest steps of these sequences alone.
  static double plain_seconds(const CostCurve& cost, const StepLoad& beside,
                              const StepLoad& decodes, std::int64_t tokens);

 private:
  using Rates = std::array<HitRate, kConfidenceClasses>;

  /// What is left of the sequence's own counts, which silence fades.
  double freshness(const DraftHistory& history, int drafter) const;
  bool plain_is_due() const { return checks_in_a_row_ >= kPlainEvery; }
  bool pays_off(const DraftCandidate& candidate, const DraftOption& option, const CostCurve& cost,
                const StepLoad& others) const;
  void probe(int drafter, std::span<const DraftCandidate> candidates, const CostCurve& cost,
             const StepLoad& plain, double seconds_each, std::span<int> lengths);

  std::vector<Rates> all_;  ///< [drafter]: of all sequences
  std::uint64_t steps_ = 0;
  int checks_in_a_row_ = 0;
  double step_seconds_ = 0;  ///< mean
  double seconds_since_probe_ = 0;
};

}  // namespace ridgeline
