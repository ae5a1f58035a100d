#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"
#include "ridgeline/ops/backend.h"

namespace ridgeline {

/// How positions turn into rotation angles (RoFormer, Su et al. 2021).
struct RopeConfig {
  RopeStyle style = RopeStyle::kInterleaved;
  int dims = 0;  ///< of each head that rotate
  float base = 10000.0F;
  float linear_factor = 1.0F;  ///< positions are divided by it ("linear" scaling)
  std::vector<float>
      frequency_factors;  ///< [dims/2], frequencies are divided by them (Llama 3); may be empty

  /// [dims/2]: the angle per position of each rotated pair.
  std::vector<float> inverse_frequencies() const;
};

/// The numbers that define a decoder-only transformer.
struct ModelConfig {
  std::string architecture;  ///< GGUF's name: "llama", "qwen2", "qwen3"
  std::string name;          ///< the file's own title; may be empty
  int layers = 0;
  int hidden_size = 0;  ///< width of the residual stream
  int num_heads = 0;
  int num_kv_heads = 0;
  int head_dim = 0;
  int ffn_size = 0;
  int vocab_size = 0;
  std::int64_t context_length = 0;  ///< that the model was trained for
  float rms_norm_eps = 1e-5F;
  RopeConfig rope;

  int q_size() const { return num_heads * head_dim; }
  int kv_size() const { return num_kv_heads * head_dim; }
  /// 2 (K and V) x layers x kv_heads x head_dim: elements of KV cache per token.
  std::int64_t kv_elements_per_token() const {
    return std::int64_t{2} * layers * num_kv_heads * head_dim;
  }
};

/// Reads and checks the metadata of a GGUF file. Errors name the file, the key, its
/// value and what was expected.
Result<ModelConfig> read_model_config(const Checkpoint& file);

/// The architectures that there are, for messages: "llama, qwen2, qwen3".
std::string supported_architectures();
bool is_supported_architecture(std::string_view name);

}  // namespace ridgeline
