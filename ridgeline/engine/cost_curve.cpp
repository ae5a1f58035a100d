#include "ridgeline/engine/cost_curve.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "ridgeline/base/check.h"

namespace ridgeline {
namespace {

/// Of an observation, in what is known: a step in five is disturbed on a busy machine.
constexpr double kWeight = 0.1;
/// An observation beyond this factor of what was expected counts as this much: the thread lost
/// its core.
constexpr double kOutlier = 2.0;

/// A prompt that waits counts like so many sequences that generate: with 16 users whose prompts
/// are twice as long as their answers, a first token then takes a fifth of the time of an answer.
constexpr double kWaitingWeight = 12;
/// Of a step without decodes: who comes meanwhile waits no longer than that, unless rows would
/// become so few that weights are read more than multiplied.
constexpr double kPromptSeconds = 0.5;
constexpr std::int64_t kFewestPromptRows = 64;

}  // namespace

StepLoad load_of(std::int64_t position, std::int64_t rows) {
  return {rows, rows * position + rows * (rows + 1) / 2};
}

void CostCurve::set(std::int64_t rows, double seconds) {
  const int knot = std::countr_zero(static_cast<std::uint64_t>(rows));
  RIDGELINE_CHECK(rows == std::int64_t{1} << knot && knot <= knots_ && knot < kMaxKnots);
  // More rows never take less.
  seconds_[static_cast<std::size_t>(knot)] =
      knot == 0 ? seconds : std::max(seconds, seconds_[static_cast<std::size_t>(knot) - 1]);
  knots_ = std::max(knots_, knot + 1);
}

double CostCurve::of_rows(double rows) const {
  if (rows <= 0) return 0;
  const double at = std::log2(rows);
  const auto knot = static_cast<int>(at);
  if (knot + 1 >= knots_) {
    const double last = std::exp2(knots_ - 1);
    return seconds_[static_cast<std::size_t>(knots_) - 1] * std::max(1.0, rows / last);
  }
  const double low = std::exp2(knot);
  const double below = seconds_[static_cast<std::size_t>(knot)];
  const double above = seconds_[static_cast<std::size_t>(knot) + 1];
  return below + (above - below) * (rows - low) / low;
}

double CostCurve::seconds(const StepLoad& load) const {
  return of_rows(static_cast<double>(load.rows)) +
         per_attended_ * static_cast<double>(load.attended);
}

void CostCurve::observe(const StepLoad& load, double seconds) {
  if (!known() || load.rows <= 0) return;
  const double expected = this->seconds(load);
  const double factor = std::clamp(seconds / expected, 1 / kOutlier, kOutlier) - 1;
  const double at = std::min(std::log2(static_cast<double>(load.rows)), knots_ - 1.0);
  const auto knot = static_cast<int>(at);
  const double fraction = at - knot;
  const auto move = [&](int which, double weight) {
    if (which < knots_) seconds_[static_cast<std::size_t>(which)] *= 1 + kWeight * weight * factor;
  };
  move(knot, 1 - fraction);
  move(knot + 1, fraction);
  for (std::size_t i = 1; i < static_cast<std::size_t>(knots_); ++i)
    seconds_[i] = std::max(seconds_[i], seconds_[i - 1]);
}

std::int64_t CostCurve::rows_within(double budget, const StepLoad& load, std::int64_t position,
                                    std::int64_t most) const {
  std::int64_t fits = 0, too_many = most + 1;
  while (too_many - fits > 1) {
    const std::int64_t middle = fits + (too_many - fits) / 2;
    (seconds(load + load_of(position, middle)) <= budget ? fits : too_many) = middle;
  }
  return fits;
}

double StepBudget::share(std::int64_t decodes, std::int64_t queued) const {
  const double waiting = kWaitingWeight * static_cast<double>(queued);
  const double even = waiting / (waiting + static_cast<double>(decodes));
  return std::clamp(even, prefill_share, std::max(prefill_share, most_prefill_share));
}

std::int64_t StepBudget::prefill_rows(const StepLoad& decodes, std::int64_t position,
                                      std::int64_t queued) const {
  const std::int64_t most = rows - decodes.rows;
  if (cost == nullptr || !cost->known()) return most;
  if (decodes.rows == 0)
    return std::clamp<std::int64_t>(cost->rows_within(kPromptSeconds, decodes, position, most),
                                    std::min(kFewestPromptRows, most), most);
  const double budget = cost->seconds(decodes) / (1 - share(decodes.rows, queued));
  return std::clamp<std::int64_t>(cost->rows_within(budget, decodes, position, most),
                                  std::min<std::int64_t>(1, most), most);
}

}  // namespace ridgeline
