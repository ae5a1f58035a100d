#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "ridgeline/base/result.h"

namespace ridgeline {

/// What config.json's quantization_config says of a GPTQ or AWQ checkpoint, as far as the
/// tensors do not say it themselves: which matrices are quantized, zeros and the order of
/// columns (sym, desc_act, modules_to_not_convert) are read from them.
struct HfQuantization {
  enum class Method { kGptq, kAwq };
  Method method = Method::kGptq;
  std::int64_t group_size = 0;  ///< inputs that share a scale; 0: all of them
  bool zeros_less_one = false;  ///< the zeros are stored less one (GPTQ's first format)
  bool varies = false;          ///< modules may have groups of other sizes

  /// For people: "GPTQ, 4 bits in groups of 128".
  std::string description() const;
};

/// Of config.json, which `path` names. Null for plain weights and for gpt-oss's MXFP4. Errors
/// name the key, its value and what was expected: other methods and packings, other numbers of
/// bits.
Result<std::optional<HfQuantization>> read_hf_quantization(const nlohmann::json& config,
                                                           std::string_view architecture,
                                                           const std::string& path);

}  // namespace ridgeline
