#include "ridgeline/engine/speculation/rejection.h"

#include <algorithm>

namespace ridgeline {
namespace {

double probability(std::span<const TokenProbability> of, TokenId token) {
  const auto found = std::ranges::lower_bound(of, token, {}, &TokenProbability::token);
  return found != of.end() && found->token == token ? static_cast<double>(found->probability) : 0.0;
}

}  // namespace

TokenId speculative_draw(std::span<const TokenProbability> model, TokenId drafted,
                         std::span<const TokenProbability> draft, double accept, double residual) {
  const auto drafts = [&](TokenId token) {
    return draft.empty() ? (token == drafted ? 1.0 : 0.0) : probability(draft, token);
  };
  const double p = probability(model, drafted);
  if (accept * drafts(drafted) < p) return drafted;
  // What the model has over the draft. p is below the draft's probability here, so something is,
  // but for rounding.
  double total = 0;
  for (const TokenProbability& t : model)
    total += std::max(0.0, static_cast<double>(t.probability) - drafts(t.token));
  double sum = 0;
  TokenId last = drafted;
  for (const TokenProbability& t : model) {
    const double over = std::max(0.0, static_cast<double>(t.probability) - drafts(t.token));
    if (over == 0) continue;
    last = t.token;
    sum += over;
    if (sum > residual * total) return t.token;
  }
  return last;
}

}  // namespace ridgeline
