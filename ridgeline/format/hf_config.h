#pragma once

#include <deque>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/format/gguf_value.h"
#include "ridgeline/format/hf_quantization.h"

namespace ridgeline {

/// What config.json says, in GGUF's terms.
struct HfConfig {
  std::string architecture;  ///< GGUF's name
  std::map<std::string, GgufValue, std::less<>> metadata;
  /// Tensors that GGUF has and the folder has not: rope_freqs.weight and rope_factors_*.
  std::map<std::string, std::vector<float>> rope_factors;
  std::deque<std::string> texts;  ///< that metadata points into

  // What the shapes of some tensors follow from.
  std::int64_t layers = 0, hidden_size = 0, heads = 0, kv_heads = 0;
  std::int64_t qk_nope_head_dim = 0, v_head_dim = 0;  ///< multi-head latent attention
  std::optional<HfQuantization> quantization;         ///< of GPTQ and AWQ checkpoints
  bool tied = false;            ///< the embedding is the head, whatever else the folder holds
  bool must_be_untied = false;  ///< says so itself: a head is expected
};

/// Errors name the file, the key, its value and what was expected: a model_type that is not
/// known, an activation other than the architecture's, weights in a form that is not read
/// (FP8, GPTQ in other than 4 bits), anything that would be computed differently.
Result<HfConfig> read_hf_config(const nlohmann::json& config, const std::string& path);

/// The model_type values that are read, for messages.
std::string supported_hf_models();

}  // namespace ridgeline
