#include "ridgeline/engine/cost_curve.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "ridgeline/base/check.h"

namespace ridgeline {
namespace {

/// Of a step's deviation, what the speed of the machine takes on: disturbances by neighbours last
/// for dozens of steps, and a step in five is disturbed on a busy machine.
constexpr double kSpeedWeight = 0.15;
/// A knot that was observed n times moves by 1 / (n + 1) of the deviation. n counts no further
/// than this, and fades with this half-life, in steps.
constexpr double kMostTrust = 100;
constexpr double kTrustHalfLife = 2000;
/// n of a measurement, which is the better of two: conditions at start-up are not those of work.
constexpr double kMeasuredTrust = 10;
/// What the time of a knot may be less than what is known of it: this, by the root of n + 1.
constexpr double kDoubt = 0.35;
/// Deviations beyond these, as logarithms, count as these. A factor of two: the thread lost its
/// core. What is no more than noise is the knot's, more is rather the machine's.
const double kSpeedStep = std::log(2.0);
constexpr double kKnotStep = 0.2;
/// A knot seen less often may have been met at a bad moment: it may fall freely.
constexpr double kYoungTrust = 3;

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
  fit_at_best();
}

/// All knots from the first known to the last, each as low as it may be.
void CostCurve::fit_at_best() {
  at_best_size_ = 0;
  double least = 0;
  for (std::size_t i = 0; i < kKnots.size(); ++i) {
    if (kKnots[i] < points_[0].rows || kKnots[i] > points_[size_ - 1].rows) continue;
    const double doubt = kDoubt / std::sqrt(1 + knots_[i].trust);
    least = std::max(least, of_rows(static_cast<double>(kKnots[i])) / speed_ * (1 - doubt));
    at_best_[at_best_size_++] = {kKnots[i], least};
  }
}

double CostCurve::beyond(std::span<const Point> points, double rows) const {
  const Point& last = points.back();
  const double proportional = last.seconds * rows / static_cast<double>(last.rows);
  if (measured_) return proportional;
  if (points.size() == 1) return last.seconds;
  const Point& before = points[points.size() - 2];
  const double slope =
      (last.seconds - before.seconds) / static_cast<double>(last.rows - before.rows);
  return std::min(proportional, last.seconds + slope * (rows - static_cast<double>(last.rows)));
}

double CostCurve::at(std::span<const Point> points, double rows) const {
  if (rows <= 0 || points.empty()) return 0;
  const auto above = std::ranges::upper_bound(
      points, rows, {}, [](const Point& point) { return static_cast<double>(point.rows); });
  if (above == points.begin()) return speed_ * above->seconds;
  if (above == points.end()) return speed_ * beyond(points, rows);
  const Point& below = *std::prev(above);
  const double slope =
      (above->seconds - below.seconds) / static_cast<double>(above->rows - below.rows);
  return speed_ * (below.seconds + slope * (rows - static_cast<double>(below.rows)));
}

double CostCurve::at_best(const StepLoad& load) const {
  const double rows = at(std::span(at_best_.data(), at_best_size_), static_cast<double>(load.rows));
  return rows + per_attended_ * static_cast<double>(load.attended);
}

double CostCurve::seconds(const StepLoad& load) const {
  return of_rows(static_cast<double>(load.rows)) +
         per_attended_ * static_cast<double>(load.attended);
}

/// Moves the speed and the nearest knot. Which of them a deviation is due to one step cannot tell;
/// the less a knot is known, the more it is the knot.
void CostCurve::observe(const StepLoad& load, double seconds) {
  if (load.rows <= 0 || !(seconds > 0)) return;
  const auto above = static_cast<std::size_t>(
      std::ranges::lower_bound(kKnots, std::min(load.rows, kKnots.back())) - kKnots.begin());
  const bool lower = above > 0 && load.rows - kKnots[above - 1] < kKnots[above] - load.rows;
  const std::size_t index = lower ? above - 1 : above;
  const auto rows = static_cast<double>(kKnots[index]);
  Knot& knot = knots_[index];
  for (Knot& any : knots_) any.trust *= std::exp2(-1 / kTrustHalfLife);

  if (!known()) {
    knot = {seconds / speed_, 1};
    return fit();
  }
  const bool between = rows > static_cast<double>(points_[0].rows) &&
                       rows < static_cast<double>(points_[size_ - 1].rows);
  const bool fresh = knot.seconds == 0;
  if (fresh) knot = {of_rows(rows) / speed_, 0};
  // The knot as it is, not as the fit has it beside its neighbours.
  const double expected = this->seconds(load) * knot.seconds * speed_ / of_rows(rows);
  const double deviation = std::log(seconds / expected);
  const double own = 1 / (knot.trust + 1);
  const double least = knot.trust < kYoungTrust ? deviation : -kKnotStep;
  const double most = fresh && !between ? deviation : kKnotStep;
  knot.seconds *= std::exp(own * std::clamp(deviation, std::min(least, most), most));
  speed_ *= std::exp(kSpeedWeight * (1 - own) * std::clamp(deviation, -kSpeedStep, kSpeedStep));
  knot.trust = std::min(knot.trust + 1, kMostTrust);
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
