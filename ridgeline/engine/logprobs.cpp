#include "ridgeline/engine/logprobs.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ridgeline/engine/logit_scan.h"

namespace ridgeline {

TokenLogprobs token_logprobs(std::span<const float> logits, TokenId token, int top) {
  constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
  const float max = max_logit(logits);
  const auto log_denominator = static_cast<float>(std::log(softmax_denominator(logits, max)));
  const auto logprob = [&](float logit) {
    return logit > kMinusInfinity ? -gap_below(max, logit) - log_denominator : kMinusInfinity;
  };
  const auto better = [&](std::size_t a, std::size_t b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  };

  TokenLogprobs result;
  const auto chosen = static_cast<std::size_t>(token);
  result.chosen = {token, logprob(logits[chosen]), 1};
  // A heap whose front is the worst of the best so far.
  std::vector<std::size_t> best;
  best.reserve(static_cast<std::size_t>(top) + 1);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] > kMinusInfinity)) continue;
    if (logits[i] > logits[chosen]) ++result.chosen.rank;
    if (top == 0 || (best.size() == static_cast<std::size_t>(top) && !better(i, best.front())))
      continue;
    best.push_back(i);
    std::ranges::push_heap(best, better);
    if (best.size() > static_cast<std::size_t>(top)) {
      std::ranges::pop_heap(best, better);
      best.pop_back();
    }
  }
  std::ranges::sort(best, better);
  for (const std::size_t i : best)
    result.top.push_back({static_cast<TokenId>(i), logprob(logits[i]),
                          static_cast<std::int64_t>(result.top.size()) + 1});
  return result;
}

}  // namespace ridgeline
