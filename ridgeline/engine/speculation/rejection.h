#pragma once

#include <span>

#include "ridgeline/engine/candidates.h"

namespace ridgeline {

/// Speculative sampling (Leviathan et al. 2022, "Fast Inference from Transformers via Speculative
/// Decoding", algorithm 1; Chen et al. 2023): a token whose distribution is exactly `model`, and
/// which is `drafted` as often as that allows.
///
/// `model`: what the model draws from; `draft`: what `drafted` was drawn from, independently of
/// both random numbers; empty: it was certain. Both in ascending order of id. `accept` and
/// `residual` are uniform on [0, 1).
TokenId speculative_draw(std::span<const TokenProbability> model, TokenId drafted,
                         std::span<const TokenProbability> draft, double accept, double residual);

}  // namespace ridgeline
