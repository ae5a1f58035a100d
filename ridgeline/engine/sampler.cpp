#include "ridgeline/engine/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ridgeline/base/check.h"
#include "ridgeline/engine/logit_scan.h"
#include "ridgeline/engine/random.h"

namespace ridgeline {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

/// The end of the history that the penalties look at.
std::span<const TokenId> penalized_window(const SamplingParams& params,
                                          std::span<const TokenId> history) {
  const bool neutral = params.repetition_penalty == 1.0 && params.presence_penalty == 0.0 &&
                       params.frequency_penalty == 0.0;
  if (neutral) return {};
  if (params.repeat_last_n < 0) return history;
  return history.last(std::min(history.size(), static_cast<std::size_t>(params.repeat_last_n)));
}

/// The one token that is left needs no draw.
bool takes_best(const SamplingParams& params) { return params.is_greedy() || params.top_k == 1; }

}  // namespace

Sampler::Sampler(int vocab_size, std::span<const TokenId> end_tokens)
    : vocab_size_(static_cast<std::size_t>(vocab_size)),
      end_tokens_(end_tokens.begin(), end_tokens.end()),
      candidates_(vocab_size),
      occurrences_(vocab_size_) {
  RIDGELINE_CHECK(vocab_size > 0);
}

Result<TokenId> Sampler::sample(const SamplingParams& params, const SampleRequest& request) {
  adjust(params, request);
  const std::optional<TokenId> token = choose(params, request);
  if (!token) return fail(no_token(request));
  return *token;
}

Status Sampler::distribution(const SamplingParams& params, const SampleRequest& request,
                             std::vector<TokenProbability>& out) {
  adjust(params, request);
  out.clear();
  if (takes_best(params)) {
    const std::optional<std::size_t> best = argmax(request.logits);
    if (!best) return fail(no_token(request));
    out.push_back({static_cast<TokenId>(*best), 1.0F});
    return {};
  }
  if (!collect(params, request.logits)) return fail(no_token(request));
  candidates_.distribution(params.temperature, out);
  return {};
}

std::string Sampler::no_token(const SampleRequest& request) const {
  return fmt::format(
      "output position {} has no token to choose: all {} logits are NaN or -inf (NaN in the "
      "weights, or a logit_bias that forbids every token)",
      request.output_position, vocab_size_);
}

void Sampler::adjust(const SamplingParams& params, const SampleRequest& request) {
  RIDGELINE_CHECK(request.logits.size() == vocab_size_);
  apply_bias(params, request);
  apply_penalties(params, request);
}

// Ids outside the vocabulary are passed over here and in the history: no logit is theirs.
void Sampler::apply_bias(const SamplingParams& params, const SampleRequest& request) {
  const auto logit = [&](TokenId token) -> float* {
    const bool known = token >= 0 && static_cast<std::size_t>(token) < vocab_size_;
    return known ? &request.logits[static_cast<std::size_t>(token)] : nullptr;
  };
  for (const LogitBias& entry : params.logit_bias) {
    float* value = logit(entry.token);
    // An infinite bias decides alone: the logit may be the opposite infinity, or NaN.
    if (value) *value = std::isinf(entry.bias) ? entry.bias : *value + entry.bias;
  }
  const auto forbid = [&](std::span<const TokenId> tokens) {
    for (const TokenId token : tokens) {
      if (float* value = logit(token)) *value = kMinusInfinity;
    }
  };
  const bool too_early = request.output_position < static_cast<std::uint64_t>(params.min_tokens);
  if (params.ignore_eos || too_early) forbid(end_tokens_);
  if (too_early) forbid(params.stop_token_ids);
}

// Repetition: Keskar et al. 2019 (CTRL), section 4.1, with a negative logit multiplied so
// that it sinks too. Presence and frequency: as the OpenAI API defines them.
void Sampler::apply_penalties(const SamplingParams& params, const SampleRequest& request) {
  const std::span<const TokenId> window = penalized_window(params, request.history);
  const auto is_known = [&](TokenId token) {
    return token >= 0 && static_cast<std::size_t>(token) < vocab_size_;
  };
  for (const TokenId token : window) {
    if (is_known(token)) ++occurrences_[static_cast<std::size_t>(token)];
  }
  const auto repetition = static_cast<float>(params.repetition_penalty);
  for (const TokenId token : window) {
    if (!is_known(token)) continue;
    std::uint32_t& count = occurrences_[static_cast<std::size_t>(token)];
    if (count == 0) continue;  // done at its first occurrence
    float& logit = request.logits[static_cast<std::size_t>(token)];
    logit = logit > 0 ? logit / repetition : logit * repetition;
    logit -= static_cast<float>(params.presence_penalty + params.frequency_penalty * count);
    count = 0;
  }
}

std::optional<TokenId> Sampler::choose(const SamplingParams& params, const SampleRequest& request) {
  if (takes_best(params)) {
    const std::optional<std::size_t> best = argmax(request.logits);
    if (!best) return std::nullopt;
    return static_cast<TokenId>(*best);
  }
  if (!collect(params, request.logits)) return std::nullopt;
  return candidates_.draw(params.temperature, random_uniform(params.seed, request.output_position,
                                                             request.choice, RandomUse::kToken));
}

bool Sampler::collect(const SamplingParams& params, std::span<const float> logits) {
  const float max = max_logit(logits);
  if (max == kMinusInfinity) return false;
  narrow(params, logits, max);
  return true;
}

void Sampler::narrow(const SamplingParams& params, std::span<const float> logits, float max) {
  const bool all = params.top_k == 0 || static_cast<std::size_t>(params.top_k) >= vocab_size_;
  if (all && params.typical_p >= 1 && std::isfinite(max)) return narrow_tail(params, logits, max);
  if (all) {
    candidates_.collect(logits, max);
  } else {
    candidates_.collect_top_k(logits, max, static_cast<std::size_t>(params.top_k));
  }
  candidates_.keep_typical(params.typical_p);
  candidates_.keep_top_p(params.top_p);
  candidates_.keep_min_p(params.min_p);
}

// Top-p and min-p alone, of a whole vocabulary: both cut at a logit, so their order does not
// matter as long as p is a share of the whole weight, and tokens that are certain to go need
// not be collected. Min-p: those further than -ln(min_p) below the maximum. Top-p: at a gap
// g all n tokens together weigh at most n * e^-g below it; where that is no more than
// (1 - p) * total, the tokens above have reached p without them.
void Sampler::narrow_tail(const SamplingParams& params, std::span<const float> logits, float max) {
  double widest = std::numeric_limits<double>::infinity();
  double total = 0;
  if (params.min_p > 0) widest = -std::log(params.min_p);
  if (params.top_p < 1) {
    total = softmax_denominator(logits, max);
    widest =
        std::min(widest, std::log(static_cast<double>(vocab_size_) / ((1 - params.top_p) * total)));
  }
  if (std::isinf(widest)) {
    candidates_.collect(logits, max);
  } else {
    // The slack is more than all rounding; the filters make the exact cut.
    const double slack = 1e-6 * (1 + widest + std::fabs(static_cast<double>(max)));
    const double lowest = std::numeric_limits<float>::lowest();
    const double threshold = std::max(static_cast<double>(max) - widest - slack, lowest);
    candidates_.collect(logits, max, static_cast<float>(threshold), vocab_size_);
  }
  candidates_.keep_top_p(params.top_p, total);
  candidates_.keep_min_p(params.min_p);
}

}  // namespace ridgeline
