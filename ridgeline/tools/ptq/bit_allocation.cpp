#include "ridgeline/tools/ptq/bit_allocation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include "ridgeline/base/check.h"

namespace ridgeline::ptq {
namespace {

struct Point {
  std::uint64_t bytes;
  double loss;
  std::size_t index;  ///< among the caller's choices
};

/// The choices that no other beats in both: ascending in bytes, descending in loss.
std::vector<Point> frontier(const std::vector<AllocationChoice>& choices) {
  std::vector<Point> points;
  for (std::size_t i = 0; i < choices.size(); ++i)
    points.push_back({choices[i].bytes, choices[i].loss, i});
  std::ranges::sort(points, [](const Point& a, const Point& b) {
    return std::tie(a.bytes, a.loss, a.index) < std::tie(b.bytes, b.loss, b.index);
  });
  std::vector<Point> kept;
  for (const Point& p : points)
    if (kept.empty() || p.loss < kept.back().loss) kept.push_back(p);
  return kept;
}

/// From one corner of an item's convex hull to the next.
struct Step {
  std::size_t item;
  std::size_t to;  ///< the point
  std::uint64_t bytes;
  double saved;

  double rate() const { return saved / static_cast<double>(bytes); }
};

/// Steps of falling rate (Andrew's monotone chain).
void append_hull(const std::vector<Point>& points, std::size_t item, std::vector<Step>& steps) {
  const std::size_t begin = steps.size();
  for (std::size_t to = 1; to < points.size(); ++to) {
    std::size_t from = to - 1;
    Step step;
    for (;;) {
      from = steps.size() > begin ? steps.back().to : 0;
      step = {item, to, points[to].bytes - points[from].bytes, points[from].loss - points[to].loss};
      if (steps.size() == begin || step.rate() < steps.back().rate()) break;
      steps.pop_back();
    }
    steps.push_back(step);
  }
}

class Allocator {
 public:
  Allocator(std::span<const std::vector<AllocationChoice>> items, std::uint64_t budget)
      : budget_(budget), order_(items.size()) {
    std::vector<std::vector<Point>> frontiers;
    for (const auto& choices : items) frontiers.push_back(frontier(choices));
    // Where most is at stake the search decides first.
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::ranges::stable_sort(order_, std::greater{}, [&](std::size_t i) {
      return frontiers[i].front().loss - frontiers[i].back().loss;
    });
    for (const std::size_t i : order_) points_.push_back(std::move(frontiers[i]));
    for (std::size_t k = 0; k < points_.size(); ++k) append_hull(points_[k], k, steps_);
    std::ranges::stable_sort(steps_, std::greater{}, &Step::rate);
    least_bytes_.assign(points_.size() + 1, 0);
    most_loss_.assign(points_.size() + 1, 0);
    for (std::size_t k = points_.size(); k-- > 0;) {
      least_bytes_[k] = least_bytes_[k + 1] + points_[k].front().bytes;
      most_loss_[k] = most_loss_[k + 1] + points_[k].front().loss;
    }
  }

  std::uint64_t least_bytes() const { return least_bytes_[0]; }

  Allocation allocate() {
    descend_hulls();
    fill();
    current_.assign(points_.size(), 0);
    search(0, 0, 0);
    Allocation result;
    result.chosen.resize(points_.size());
    for (std::size_t k = 0; k < points_.size(); ++k) {
      const Point& p = points_[k][best_[k]];
      result.chosen[order_[k]] = p.index;
      result.bytes += p.bytes;
      result.loss += p.loss;
    }
    result.is_optimal = nodes_ <= kAllocationNodesMax;
    return result;
  }

 private:
  void descend_hulls() {
    best_.assign(points_.size(), 0);
    best_bytes_ = least_bytes_[0];
    best_loss_ = most_loss_[0];
    std::vector<bool> stopped(points_.size());
    for (const Step& step : steps_) {
      if (stopped[step.item]) continue;
      if (step.bytes > budget_ - best_bytes_)
        stopped[step.item] = true;
      else
        move(step.item, step.to);
    }
  }

  /// The single change that saves most, as long as there is one that fits.
  void fill() {
    for (;;) {
      double most = 0;
      std::size_t item = 0, to = 0;
      for (std::size_t k = 0; k < points_.size(); ++k) {
        const Point& now = points_[k][best_[k]];
        for (std::size_t p = best_[k] + 1; p < points_[k].size(); ++p) {
          if (points_[k][p].bytes - now.bytes > budget_ - best_bytes_) break;
          if (now.loss - points_[k][p].loss <= most) continue;
          most = now.loss - points_[k][p].loss;
          item = k;
          to = p;
        }
      }
      if (most <= 0) return;
      move(item, to);
    }
  }

  void move(std::size_t item, std::size_t to) {
    const Point &from = points_[item][best_[item]], &point = points_[item][to];
    best_bytes_ += point.bytes - from.bytes;
    best_loss_ -= from.loss - point.loss;
    best_[item] = to;
  }

  /// The loss below which items [k, end) cannot come with `bytes` for them: steps may be taken in
  /// part.
  double bound(std::size_t k, std::uint64_t bytes) const {
    std::uint64_t left = bytes - least_bytes_[k];
    double loss = most_loss_[k];
    for (const Step& step : steps_) {
      if (step.item < k) continue;
      if (step.bytes > left) return loss - step.rate() * static_cast<double>(left);
      left -= step.bytes;
      loss -= step.saved;
    }
    return loss;
  }

  /// Choices for items [k, end), those before as in current_, with their bytes and loss.
  void search(std::size_t k, std::uint64_t bytes, double loss) {
    if (k == points_.size()) {
      best_ = current_;
      best_loss_ = loss;
      return;
    }
    struct Branch {
      double bound;
      std::size_t point;
    };
    std::vector<Branch> branches;
    for (std::size_t p = 0; p < points_[k].size(); ++p) {
      const std::uint64_t used = bytes + points_[k][p].bytes;
      if (used + least_bytes_[k + 1] > budget_) break;
      if (++nodes_ > kAllocationNodesMax) return;
      branches.push_back({loss + points_[k][p].loss + bound(k + 1, budget_ - used), p});
    }
    std::ranges::stable_sort(branches, {}, &Branch::bound);
    for (const Branch& branch : branches) {
      // Less by rounding alone is no improvement.
      if (nodes_ > kAllocationNodesMax || branch.bound >= best_loss_ * (1 - 1e-12)) return;
      current_[k] = branch.point;
      const Point& p = points_[k][branch.point];
      search(k + 1, bytes + p.bytes, loss + p.loss);
    }
  }

  std::uint64_t budget_;
  std::vector<std::size_t> order_;           ///< the caller's items in ours
  std::vector<std::vector<Point>> points_;   ///< of each item
  std::vector<Step> steps_;                  ///< of all items, the best rate first
  std::vector<std::uint64_t> least_bytes_;   ///< of the items [k, end)
  std::vector<double> most_loss_;            ///< likewise, at the least bytes
  std::vector<std::size_t> best_, current_;  ///< points
  std::uint64_t best_bytes_ = 0;
  double best_loss_ = 0;
  int nodes_ = 0;
};

}  // namespace

Result<Allocation> allocate_bits(std::span<const std::vector<AllocationChoice>> items,
                                 std::uint64_t budget) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    RIDGELINE_CHECK(!items[i].empty());
    for (const AllocationChoice& choice : items[i])
      if (!(choice.loss >= 0) || !std::isfinite(choice.loss))
        return fail(
            fmt::format("the predicted loss of tensor {} is {}, expected a finite number "
                        "of at least 0",
                        i + 1, choice.loss));
  }
  Allocator allocator(items, budget);
  if (allocator.least_bytes() > budget)
    return fail(
        fmt::format("{} bytes are too few for these tensors: in their smallest types they "
                    "take {}",
                    budget, allocator.least_bytes()));
  return allocator.allocate();
}

}  // namespace ridgeline::ptq
