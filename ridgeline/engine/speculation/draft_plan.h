#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ridgeline/engine/cost_curve.h"

namespace ridgeline {

/// A draft that a sequence might check.
struct DraftOption {
  int drafter = -1;
  /// Probability that token j is right and all before it; does not rise.
  std::vector<double> reach;
  double seconds_each = 0;  ///< still to be spent on each token
};

/// A sequence, with what it might check.
struct DraftSlot {
  std::int64_t position = 0;  ///< of its next row
  std::vector<DraftOption> options;
};

/// What a step could be, and how fast it would bring work forward.
struct DraftPlan {
  /// Of one slot; option -1: its next row alone.
  struct Part {
    int option = -1;
    int length = 0;
    double expected = 0;  ///< tokens accepted
  };
  std::vector<Part> parts;
  double work = 0;  ///< tokens
  double seconds = 0;

  double rate() const { return work / seconds; }
};

/// The step without drafts.
DraftPlan plain_plan(std::span<const DraftSlot> slots, const CostCurve& cost,
                     const StepLoad& beside, double spent_seconds = 0);
/// The fastest way to bring work forward with at most `rows` drafted tokens; DraftControl says
/// what that is.
DraftPlan best_plan(std::span<const DraftSlot> slots, const CostCurve& cost, const StepLoad& beside,
                    std::int64_t rows, double spent_seconds = 0);

}  // namespace ridgeline
