#include "ridgeline/engine/speculation/draft_plan.h"

#include <algorithm>

namespace ridgeline {
namespace {

/// Rows of less hope are not looked at.
constexpr double kLeastReach = 0.005;
/// What a row may cost, in tokens, when a slot takes one of several options: a short sure draft is
/// the better one where rows are dear, a long one where they are cheap.
constexpr double kRowPrices[] = {0, 0.15, 0.3, 0.5, 0.8};

/// A drafted token that could be checked.
struct Row {
  std::size_t slot;
  double reach;
  double worth;  ///< reach less what it costs beside its row, in tokens
};

double worth(const DraftOption& option, std::size_t token, double rate) {
  return option.reach[token] - option.seconds_each * rate;
}

/// The option that is worth most where a row costs `price`.
std::vector<int> take_options(std::span<const DraftSlot> slots, double price, double rate) {
  std::vector<int> taken(slots.size(), -1);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    double best = 0;
    for (std::size_t o = 0; o < slots[i].options.size(); ++o) {
      double sum = 0;
      for (std::size_t j = 0; j < slots[i].options[o].reach.size(); ++j)
        sum += std::max(0.0, worth(slots[i].options[o], j, rate) - price);
      if (sum <= best) continue;
      best = sum;
      taken[i] = static_cast<int>(o);
    }
  }
  return taken;
}

std::vector<Row> sorted_rows(std::span<const DraftSlot> slots, std::span<const int> taken,
                             double rate) {
  std::vector<Row> rows;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (taken[i] < 0) continue;
    const DraftOption& option = slots[i].options[static_cast<std::size_t>(taken[i])];
    for (std::size_t j = 0; j < option.reach.size() && option.reach[j] >= kLeastReach; ++j)
      rows.push_back({i, option.reach[j], worth(option, j, rate)});
  }
  // Stable: a draft's tokens stay in order.
  std::ranges::stable_sort(rows, std::ranges::greater{}, &Row::worth);
  return rows;
}

StepLoad next_rows(std::span<const DraftSlot> slots) {
  StepLoad load;
  for (const DraftSlot& slot : slots) load = load + load_of(slot.position, 1);
  return load;
}

/// Adds a row to the plan and its load, but does not say yet what the plan takes.
void add(DraftPlan& plan, StepLoad& load, const Row& row, const DraftSlot& slot, int option) {
  DraftPlan::Part& part = plan.parts[row.slot];
  part.option = option;
  part.expected += row.reach;
  ++part.length;
  load = load + load_of(slot.position + part.length, 1);
  plan.work += row.reach;
  plan.seconds += slot.options[static_cast<std::size_t>(option)].seconds_each;
}

}  // namespace

DraftPlan plain_plan(std::span<const DraftSlot> slots, const CostCurve& cost,
                     const StepLoad& beside, double spent_seconds) {
  const StepLoad load = beside + next_rows(slots);
  DraftPlan plan;
  plan.parts.resize(slots.size());
  plan.work = static_cast<double>(load.rows);
  plan.seconds = cost.at_best(load) + spent_seconds;
  return plan;
}

DraftPlan best_plan(std::span<const DraftSlot> slots, const CostCurve& cost, const StepLoad& beside,
                    std::int64_t rows, double spent_seconds) {
  const DraftPlan plain = plain_plan(slots, cost, beside, spent_seconds);
  DraftPlan best = plain;
  std::vector<int> last;
  for (const double price : kRowPrices) {
    const std::vector<int> taken = take_options(slots, price, plain.rate());
    if (taken == last) continue;
    last = taken;
    std::vector<Row> order = sorted_rows(slots, taken, plain.rate());
    order.resize(std::min(order.size(), static_cast<std::size_t>(std::max<std::int64_t>(rows, 0))));
    // `seconds` of these are without the forward pass.
    DraftPlan now = plain, then = plain;
    now.seconds = then.seconds = spent_seconds;
    StepLoad load = beside + next_rows(slots), load_then = load;
    std::size_t added = 0;
    // The cost curve has steps, so the first total that is worse is not the end.
    for (std::size_t n = 0; n < order.size(); ++n) {
      const std::size_t slot = order[n].slot;
      add(now, load, order[n], slots[slot], taken[slot]);
      const double seconds = cost.at_best(load) + now.seconds;
      if (now.work / seconds <= best.rate()) continue;
      for (; added <= n; ++added)
        add(then, load_then, order[added], slots[order[added].slot], taken[order[added].slot]);
      best.work = now.work;
      best.seconds = seconds;
    }
    if (added > 0) best.parts = then.parts;
  }
  return best;
}

}  // namespace ridgeline
