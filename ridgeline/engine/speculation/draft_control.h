#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "ridgeline/engine/cost_curve.h"
#include "ridgeline/engine/speculation/drafter.h"

namespace ridgeline {

/// How often drafted tokens were right, each given that those before it were, with old
/// outcomes fading. Of one drafter and one class.
struct HitRate {
  double hits = 0, trials = 0;
};

/// What one sequence knows of its drafters: [drafter][class].
struct DraftHistory {
  std::vector<std::array<HitRate, kConfidenceClasses>> rates;
};

/// One sequence of a step that could be given drafts to check.
struct DraftCandidate {
  const DraftHistory* history = nullptr;
  std::int64_t position = 0;  ///< of its next row
  int most = 0;               ///< drafted tokens at most
  /// [drafter]: what it proposes; null or empty: nothing.
  std::vector<const Draft*> drafts;
};

/// Which draft a sequence's rows check, and how much of it.
struct DraftChoice {
  int drafter = -1;
  int length = 0;
  double expected = 0;  ///< tokens accepted
};

/// Decides how many drafted tokens a step checks, so that the expected tokens per second are as
/// many as they can be: a token drafted at place j is worth the probability that it and all
/// before it are right, and costs what the forward pass takes longer with its row.
class DraftControl {
 public:
  explicit DraftControl(int drafters);

  DraftHistory new_history() const;
  /// Probability that a token is right, given that those before it are.
  double hit_rate(const DraftHistory& history, int drafter, int confidence) const;
  /// A drafted token was reached and was right, or not.
  void learn(DraftHistory& history, int drafter, int confidence, bool hit);

  /// How many tokens to ask of a drafter that costs time, for each of the candidates (0: not
  /// asked), before it drafts. `seconds_each`: what one more drafted token takes it.
  /// Asks now and then even if it does not pay, so that it learns of a change; this costs
  /// no more than kProbeShare of the time.
  std::vector<int> ask(int drafter, std::span<const DraftCandidate> candidates,
                       const CostCurve& cost, const StepLoad& beside, double seconds_each);
  /// For each candidate what to check beside `beside`, the rows of others and of prompts;
  /// `rows`: that may be added at most. The candidates' own next rows are not in `beside`.
  std::vector<DraftChoice> choose(std::span<const DraftCandidate> candidates, const CostCurve& cost,
                                  const StepLoad& beside, std::int64_t rows) const;
};

}  // namespace ridgeline
