// The choice of experts. Each row's arithmetic is its own, in ascending order of experts.

#include <algorithm>
#include <cmath>
#include <limits>

#include "ridgeline/base/check.h"
#include "ridgeline/ops/cpu/cpu_backend.h"

namespace ridgeline {
namespace {

constexpr float kTaken = std::numeric_limits<float>::quiet_NaN();
/// As DeepSeek-V3's own code has it, for weights that are all zero.
constexpr float kSmallestSum = 1e-20F;

/// The index of the largest value that is not kTaken, the lowest of equal ones.
std::size_t best_of(std::span<const float> values) {
  std::size_t best = values.size();
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i] == values[i] && (best == values.size() || values[i] > values[best])) best = i;
  return best;
}

/// What experts weigh, before the choice.
void score(std::span<const float> logits, RoutingRule::Scores kind, std::span<float> scores) {
  using Scores = RoutingRule::Scores;
  if (kind == Scores::kSoftmaxOfChosen) {
    std::ranges::copy(logits, scores.begin());
  } else if (kind == Scores::kSigmoid) {
    for (std::size_t i = 0; i < logits.size(); ++i)
      scores[i] = 1.0F / (1.0F + std::exp(-logits[i]));
  } else {
    const float top = *std::ranges::max_element(logits);
    float sum = 0.0F;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      scores[i] = std::exp(logits[i] - top);
      sum += scores[i];
    }
    for (float& s : scores) s /= sum;
  }
}

/// Takes the experts of all but the best groups out of `ranks`.
void keep_best_groups(const RoutingRule& rule, std::span<float> ranks, std::span<float> scratch) {
  const auto groups = static_cast<std::size_t>(rule.groups);
  const std::size_t size = ranks.size() / groups;
  const std::span<float> group_ranks = scratch.first(groups);
  const std::span<float> left = scratch.subspan(groups, size);
  for (std::size_t g = 0; g < groups; ++g) {
    std::ranges::copy(ranks.subspan(g * size, size), left.begin());
    group_ranks[g] = 0.0F;
    for (int i = 0; i < rule.group_scores; ++i) {
      const std::size_t best = best_of(left);
      group_ranks[g] += left[best];
      left[best] = kTaken;
    }
  }
  // -inf - inf where a row is broken: it still needs a choice.
  for (float& r : group_ranks)
    if (r != r) r = -std::numeric_limits<float>::infinity();
  for (int i = 0; i < rule.groups_chosen; ++i) group_ranks[best_of(group_ranks)] = kTaken;
  for (std::size_t g = 0; g < groups; ++g)
    if (group_ranks[g] == group_ranks[g]) std::ranges::fill(ranks.subspan(g * size, size), kTaken);
}

/// Weights of the chosen from their scores.
void weigh(const RoutingRule& rule, std::span<float> weights) {
  if (rule.scores == RoutingRule::Scores::kSoftmaxOfChosen) {
    const float top = *std::ranges::max_element(weights);
    float sum = 0.0F;
    for (float& w : weights) sum += w = std::exp(w - top);
    for (float& w : weights) w /= sum;
  }
  if (rule.normalise) {
    float sum = 0.0F;
    for (const float w : weights) sum += w;
    for (float& w : weights) w /= sum + kSmallestSum;
  }
  for (float& w : weights) w *= rule.scale;
}

}  // namespace

void CpuBackend::route(Matrix logits, const RoutingRule& rule, const float* selection_bias,
                       const ExpertChoice& out) {
  const auto experts = static_cast<std::size_t>(logits.cols);
  const auto per_row = static_cast<std::size_t>(out.per_row);
  RIDGELINE_CHECK(out.per_row == rule.chosen && per_row <= experts &&
                  4 * experts <= scratch_floats_);
  const auto route_row = [&](std::int64_t row, float* scratch) {
    const std::span<float> scores(scratch, experts), ranks(scratch + experts, experts);
    score({logits.data + row * logits.stride, experts}, rule.scores, scores);
    for (std::size_t i = 0; i < experts; ++i) {
      ranks[i] = selection_bias != nullptr ? scores[i] + selection_bias[i] : scores[i];
      if (ranks[i] != ranks[i]) ranks[i] = -std::numeric_limits<float>::infinity();
    }
    if (rule.groups > 1) keep_best_groups(rule, ranks, {scratch + 2 * experts, 2 * experts});

    std::int32_t* const chosen = out.experts + row * out.per_row;
    const std::span<float> weights(out.weights + row * out.per_row, per_row);
    for (std::size_t i = 0; i < per_row; ++i) {
      const std::size_t best = best_of(ranks);
      chosen[i] = static_cast<std::int32_t>(best);
      ranks[best] = kTaken;
    }
    std::sort(chosen, chosen + per_row);
    for (std::size_t i = 0; i < per_row; ++i)
      weights[i] = scores[static_cast<std::size_t>(chosen[i])];
    weigh(rule, weights);
  };

  // About a microsecond a row: one thread does what is not worth waking another for.
  constexpr std::int64_t kRowsPerItem = 16;
  pool_.parallel_for(
      (logits.rows + kRowsPerItem - 1) / kRowsPerItem, [&](std::int64_t item, int worker) {
        auto* scratch = reinterpret_cast<float*>(scratch_[static_cast<std::size_t>(worker)].data());
        const std::int64_t end = std::min(logits.rows, (item + 1) * kRowsPerItem);
        for (std::int64_t r = item * kRowsPerItem; r < end; ++r) route_row(r, scratch);
      });
}

}  // namespace ridgeline
