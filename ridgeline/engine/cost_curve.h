#pragma once

#include <array>
#include <cstdint>

namespace ridgeline {

/// What a forward pass does, as far as its time depends on it.
struct StepLoad {
  std::int64_t rows = 0;
  /// Positions that the rows attend to, added up over the rows.
  std::int64_t attended = 0;

  StepLoad operator+(const StepLoad& other) const {
    return {rows + other.rows, attended + other.attended};
  }
  StepLoad operator-(const StepLoad& other) const {
    return {rows - other.rows, attended - other.attended};
  }
};
/// Of `rows` rows of one sequence from `position` on.
StepLoad load_of(std::int64_t position, std::int64_t rows);

/// How long a forward pass takes: a measured curve over its rows, plus a measured time for each
/// position attended to. Flat where weights are read (decode), rising where rows are computed.
///
///     seconds = curve(rows) + per_attended * attended
///
/// The curve is linear between knots at 1, 2, 4, 8, ... rows, behind the last known knot
/// proportional to the rows. It is measured at start-up and follows what is observed.
class CostCurve {
 public:
  /// From a measurement of its own: `rows` a power of two, from 1 on and without gaps.
  void set(std::int64_t rows, double seconds);
  void set_per_attended(double seconds) { per_attended_ = seconds; }
  /// From a step that was run anyway; moves the knots beside it a little.
  void observe(const StepLoad& load, double seconds);

  bool known() const { return knots_ > 0; }
  double seconds(const StepLoad& load) const;
  /// The most rows of one sequence from `position` on that may go beside `load` within `budget`
  /// seconds, up to `most`.
  std::int64_t rows_within(double budget, const StepLoad& load, std::int64_t position,
                           std::int64_t most) const;

 private:
  double of_rows(double rows) const;

  static constexpr int kMaxKnots = 16;
  std::array<double, kMaxKnots> seconds_{};
  int knots_ = 0;
  double per_attended_ = 0;
};

/// What a step may hold.
struct StepBudget {
  std::int64_t rows = 512;
  /// Null, or nothing known: rows alone count.
  const CostCurve* cost = nullptr;
  /// Of a step's time, what one prompt may take while others generate, in [0, 1).
  double prefill_share = 0.5;
  /// The same when many prompts wait.
  double most_prefill_share = 0.8;

  /// Rows of a prompt, from `position` on, beside `decodes`, when `queued` more prompts wait
  /// behind it.
  std::int64_t prefill_rows(const StepLoad& decodes, std::int64_t position,
                            std::int64_t queued) const;
  /// Who waits for a first token weighs more than who waits for the next one, so the share grows
  /// with the queue: from prefill_share, for one prompt however long, to most_prefill_share.
  double share(std::int64_t decodes, std::int64_t queued) const;
};

}  // namespace ridgeline
