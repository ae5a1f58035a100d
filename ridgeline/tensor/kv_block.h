#pragma once

namespace ridgeline {

/// Tokens in one block of the paged KV cache.
inline constexpr int kKvBlockTokens = 16;

}  // namespace ridgeline
