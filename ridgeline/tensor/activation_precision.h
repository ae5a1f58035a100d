#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ridgeline {

/// What matrix products do with their activations, and with it, which kernels multiply.
enum class ActivationPrecision : std::uint8_t {
  kFast,   ///< what the weight's kernel likes best (8 bit for block formats, BF16 for BF16)
  kExact,  ///< F32
  // Of F16 and BF16 weights, whose rows are rounded to 8 bits too; other types as kFast.
  kInt8,     ///< 8 bit, one scale per row: "vector-wise" absmax quantization
  kLlmInt8,  ///< likewise, but features of 6 and more in 16-bit weights (Dettmers et al. 2022)
};

inline constexpr std::array kActivationPrecisions{
    ActivationPrecision::kFast, ActivationPrecision::kExact, ActivationPrecision::kInt8,
    ActivationPrecision::kLlmInt8};

constexpr std::string_view name(ActivationPrecision precision) {
  switch (precision) {
    case ActivationPrecision::kExact:
      return "f32";
    case ActivationPrecision::kInt8:
      return "int8";
    case ActivationPrecision::kLlmInt8:
      return "llm.int8";
    case ActivationPrecision::kFast:
      break;
  }
  return "fast";
}

constexpr std::optional<ActivationPrecision> activation_precision_from_name(std::string_view text) {
  for (const ActivationPrecision p : kActivationPrecisions)
    if (name(p) == text) return p;
  return std::nullopt;
}

/// Does it round 16-bit weights to 8 bits?
constexpr bool is_int8(ActivationPrecision precision) {
  return precision == ActivationPrecision::kInt8 || precision == ActivationPrecision::kLlmInt8;
}

}  // namespace ridgeline
