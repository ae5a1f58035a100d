#pragma once

#include <array>
#include <cstdint>
#include <span>

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

/// How long a forward pass takes: a curve over its rows, plus a measured time for each position
/// attended to. Flat where weights are read (decode), rising where rows are computed.
///
///     seconds = speed * curve(rows) + per_attended * attended
///
/// The curve has knots, dense where kernels work in tiles and a row more may cost nothing or
/// much. It is linear between those that are known; below the first it is flat. What a knot says
/// comes from set(), at start-up, or from the steps themselves: a curve that nobody measured
/// learns its knots from them. Steps move two things: the speed of the machine as a whole follows
/// them quickly, a knot against the others slowly, and faster the longer it was not seen.
class CostCurve {
 public:
  static constexpr std::array<std::int64_t, 30> kKnots{
      1,    2,    3,    4,     5,     6,     7,      8,      10,     12,
      16,   20,   24,   32,    48,    64,    128,    256,    512,    1024,
      2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288, 1048576};

  /// From a measurement of its own, of one of kKnots.
  void set(std::int64_t rows, double seconds);
  void set_per_attended(double seconds) { per_attended_ = seconds; }
  /// From a step that was run anyway.
  void observe(const StepLoad& load, double seconds);

  /// Whether there is anything to go by.
  bool known() const { return size_ > 0; }
  /// Likewise, for steps of so few rows.
  bool known(std::int64_t rows) const { return size_ > 0 && points_[0].rows <= rows; }
  /// By set(): good enough to budget by. Beyond the last knot it is proportional to the rows.
  /// One that has only seen steps goes on with its last slope there, rather too cheap than too
  /// dear: the next such step corrects it, and a step that seems too dear would never come.
  bool measured() const { return measured_; }
  double seconds(const StepLoad& load) const;
  /// The least that it may be: what is judged by the curve and never tried because of it is
  /// never judged again, so whoever chooses among steps gives those the benefit of the doubt
  /// that were rarely or long not seen. Non-decreasing in rows, and no more than seconds().
  double at_best(const StepLoad& load) const;
  /// The most rows of one sequence from `position` on that may go beside `load` within `budget`
  /// seconds, up to `most`.
  std::int64_t rows_within(double budget, const StepLoad& load, std::int64_t position,
                           std::int64_t most) const;

 private:
  /// As it was observed, at speed_ 1. What disturbs one knot for a while is not left in others:
  /// that more rows never take less is made true in points_.
  struct Knot {
    double seconds = 0;  ///< 0: unknown
    double trust = 0;    ///< observations, fading with the steps of others
  };
  struct Point {
    std::int64_t rows = 0;
    double seconds = 0;
  };

  double of_rows(double rows) const { return at(std::span(points_.data(), size_), rows); }
  double at(std::span<const Point> points, double rows) const;
  double beyond(std::span<const Point> points, double rows) const;
  /// From the knots that are known, the non-decreasing curve that is nearest to them.
  void fit();
  void fit_at_best();

  std::array<Knot, kKnots.size()> knots_{};
  std::array<Point, kKnots.size()> points_{};
  std::array<Point, kKnots.size()> at_best_{};
  std::size_t size_ = 0, at_best_size_ = 0;  ///< of points_ and at_best_
  double speed_ = 1;
  double per_attended_ = 0;
  bool measured_ = false;
};

/// What a step may hold.
struct StepBudget {
  std::int64_t rows = 512;
  /// Null, or not measured: rows alone count.
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
