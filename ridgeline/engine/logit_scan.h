#pragma once

#include <cstddef>
#include <optional>
#include <span>

namespace ridgeline {

/// Passes over a whole vocabulary's logits, written so that the compiler turns them
/// into vector code for the baseline ISA: at 4 bytes a token they are bound by the
/// second-level cache and need no kernel of their own. NaN counts as -inf throughout.
/// None of them depends on libm, so they give the same bits on every machine.

/// How far a logit lies below the maximum; 0 for the maximum itself, +inf included.
inline float gap_below(float max, float logit) {
  const float difference = max - logit;  // NaN for inf - inf
  return logit == max ? 0.0f : difference;
}

/// -inf if there is nothing else.
float max_logit(std::span<const float> logits);

/// The first index of the maximum; nothing if every logit is -inf.
std::optional<std::size_t> argmax(std::span<const float> logits);

/// The k-th largest logit and how many of its equals are among the k largest.
struct KthLargest {
  float value;
  std::size_t ties;
};
/// 0 < k < logits.size(). {-inf, 0} if fewer than k lie above -inf. `scratch` is as
/// long as `logits`.
KthLargest kth_largest(std::span<const float> logits, std::size_t k, std::span<float> scratch);

/// weights[i] = exp(-gaps[i] / temperature), within 2e-7 relatively, 0 below e^-87.
/// gaps are not negative; temperature is at least FLT_MIN.
void exp_weights(std::span<const float> gaps, float temperature, std::span<float> weights);

/// In an order that depends on the length alone.
double sum(std::span<const float> values);

/// The sum over all logits of exp(logit - max).
double softmax_denominator(std::span<const float> logits, float max);

}  // namespace ridgeline
