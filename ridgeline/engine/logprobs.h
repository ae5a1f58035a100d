#pragma once

#include <span>

#include "ridgeline/engine/request.h"

namespace ridgeline {

/// The log-probability of a position's token under the model's own logits, its rank, and the
/// `top` most likely tokens in order, of equals the lowest ids first. NaN counts as -inf.
TokenLogprobs token_logprobs(std::span<const float> logits, TokenId token, int top);

}  // namespace ridgeline
