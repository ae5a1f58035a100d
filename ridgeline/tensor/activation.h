#pragma once

#include <cstdint>

namespace ridgeline {

/// The functions between the two products of a feed-forward network.
enum class Activation : std::uint8_t {
  kSilu,       ///< x sigmoid(x)
  kGeluTanh,   ///< x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): "gelu_new", "gelu_pytorch_tanh"
  kGeluErf,    ///< x/2 (1 + erf(x / sqrt(2))): the Gaussian's own (Hendrycks and Gimpel 2016)
  kSwigluOai,  ///< gpt-oss, gated only: min(gate, 7) sigmoid(1.702 min(gate, 7)) (clamp(up, ±7) +
               ///< 1)
};

}  // namespace ridgeline
