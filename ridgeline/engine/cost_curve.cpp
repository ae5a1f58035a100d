#include "ridgeline/engine/cost_curve.h"

#include <algorithm>
#include <cmath>

#include "ridgeline/base/check.h"

namespace ridgeline {
namespace {

/// Of a step's deviation, what the speed of the machine takes on: disturbances by neighbours last
/// for dozens of steps, and a step in five is disturbed on a busy machine.
constexpr double kSpeedWeight = 0.15;
/// A knot that was observed n times moves by 1 / (n + 1) of the deviation, but by no less than
/// with this n; it fades with this half-life, in steps at other knots.
constexpr double kMostTrust = 100;
constexpr double kTrustHalfLife = 256;
constexpr double kLeastTrust = 0.1;
/// n of a measurement, which is the better of two: conditions at start-up are not those of work.
constexpr double kMeasuredTrust = 10;
/// A knot seen less often may have been met at a bad moment: it may fall freely.
constexpr double kYoungTrust = 3;
/// A deviation beyond this factor counts as this much: the thread lost its core.
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
  const auto* const knot = std::ranges::find(kKnots, rows);
  RIDGELINE_CHECK(knot != kKnots.end() && seconds > 0);
  knots_[static_cast<std::size_t>(knot - kKnots.begin())] = {seconds / speed_, kMeasuredTrust};
  measured_ = true;
  fit();
}

/// Pool adjacent violators: neighbours in the wrong order become their mean, by trust.
void CostCurve::fit() {
  struct Pool {
    double seconds, trust;
    std::size_t points;
  };
  std::array<Pool, kKnots.size()> pools;
  std::size_t count = 0;
  size_ = 0;
  for (std::size_t i = 0; i < kKnots.size(); ++i) {
    const Knot& knot = knots_[i];
    if (knot.seconds == 0) continue;
    points_[size_++].rows = kKnots[i];
    pools[count++] = {knot.seconds, knot.trust, 1};
    for (; count > 1 && pools[count - 2].seconds > pools[count - 1].seconds; --count) {
      Pool& into = pools[count - 2];
      const Pool& from = pools[count - 1];
      const double trust = into.trust + from.trust;
      into = {(into.seconds * into.trust + from.seconds * from.trust) / trust, trust,
              into.points + from.points};
    }
  }
  std::size_t point = 0;
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t j = 0; j < pools[i].points; ++j) points_[point++].seconds = pools[i].seconds;
}

double CostCurve::beyond(double rows) const {
  const Point& last = points_[size_ - 1];
  const double proportional = last.seconds * rows / static_cast<double>(last.rows);
  if (measured_) return proportional;
  if (size_ == 1) return last.seconds;
  const Point& before = points_[size_ - 2];
  const double slope =
      (last.seconds - before.seconds) / static_cast<double>(last.rows - before.rows);
  return std::min(proportional, last.seconds + slope * (rows - static_cast<double>(last.rows)));
}

double CostCurve::of_rows(double rows) const {
  if (rows <= 0 || size_ == 0) return 0;
  const Point* const begin = points_.data();
  const Point* const end = begin + size_;
  const Point* const above = std::upper_bound(
      begin, end, rows,
      [](double value, const Point& point) { return value < static_cast<double>(point.rows); });
  if (above == begin) return speed_ * begin->seconds;
  if (above == end) return speed_ * beyond(rows);
  const Point& below = above[-1];
  const double slope =
      (above->seconds - below.seconds) / static_cast<double>(above->rows - below.rows);
  return speed_ * (below.seconds + slope * (rows - static_cast<double>(below.rows)));
}

double CostCurve::seconds(const StepLoad& load) const {
  return of_rows(static_cast<double>(load.rows)) +
         per_attended_ * static_cast<double>(load.attended);
}

/// Moves a known knot and the speed. Which of them a deviation is due to one step cannot tell;
/// the less a knot is known, the more it is the knot.
void CostCurve::learn(std::size_t index, double residual) {
  Knot& knot = knots_[index];
  const double own = 1 / (knot.trust + 1);
  speed_ *= std::exp(kSpeedWeight * (1 - own) * residual);
  knot.seconds *= std::exp(own * residual);
  knot.trust = std::min(knot.trust + 1, kMostTrust);
}

void CostCurve::observe(const StepLoad& load, double seconds) {
  if (load.rows <= 0 || !(seconds > 0)) return;
  for (Knot& knot : knots_)
    knot.trust = std::max(kLeastTrust, knot.trust * std::exp2(-1 / kTrustHalfLife));
  // The nearest of the knots stands for the step.
  const auto above = static_cast<std::size_t>(
      std::ranges::lower_bound(kKnots, std::min(load.rows, kKnots.back())) - kKnots.begin());
  const bool lower = above > 0 && load.rows - kKnots[above - 1] < kKnots[above] - load.rows;
  const std::size_t index = lower ? above - 1 : above;
  Knot& knot = knots_[index];
  const double expected = known() ? this->seconds(load) : seconds;
  const double residual = std::log(seconds / expected);
  const double clamped = std::clamp(residual, -std::log(kOutlier), std::log(kOutlier));
  if (knot.seconds > 0) {
    learn(index, knot.trust < kYoungTrust ? std::min(residual, clamped) : clamped);
  } else {
    const auto rows = static_cast<double>(kKnots[index]);
    const bool between = known() && rows > static_cast<double>(points_[0].rows) &&
                         rows < static_cast<double>(points_[size_ - 1].rows);
    const double at_knot = known() ? of_rows(rows) : seconds;
    knot = {at_knot * std::exp(between ? clamped : residual) / speed_, 1};
  }
  fit();
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
  if (cost == nullptr || !cost->measured()) return most;
  if (decodes.rows == 0)
    return std::clamp<std::int64_t>(cost->rows_within(kPromptSeconds, decodes, position, most),
                                    std::min(kFewestPromptRows, most), most);
  const double budget = cost->seconds(decodes) / (1 - share(decodes.rows, queued));
  return std::clamp<std::int64_t>(cost->rows_within(budget, decodes, position, most),
                                  std::min<std::int64_t>(1, most), most);
}

}  // namespace ridgeline
