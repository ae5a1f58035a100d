#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"
#include "ridgeline/model/expert_config.h"
#include "ridgeline/model/latent_config.h"
#include "ridgeline/model/rope_config.h"
#include "ridgeline/ops/backend.h"

namespace ridgeline {

enum class Norm : std::uint8_t {
  kRms,    ///< Zhang and Sennrich 2019
  kLayer,  ///< Ba et al. 2016
};

/// How an encoder's hidden states become one vector (GGUF's <architecture>.pooling_type).
enum class Pooling : std::uint8_t { kNone, kMean, kCls, kLast };

/// The numbers that define a transformer.
struct ModelConfig {
  std::string architecture;  ///< GGUF's name: "llama", "qwen2", "gemma3"
  std::string name;          ///< the file's own title; may be empty
  int layers = 0;
  int hidden_size = 0;  ///< width of the residual stream
  int num_heads = 0;
  int num_kv_heads = 0;
  int head_dim = 0;   ///< of queries and keys
  int value_dim = 0;  ///< of values; 0: head_dim
  /// Values are the first value_dim elements of the keys, and the cache holds them once:
  /// multi-head latent attention (DeepSeek-V2), whose one "head" is what it caches.
  bool latent_kv = false;
  LatentConfig latent;  ///< what the heads are without that
  /// [layers]: positions that a row of the layer sees at most, itself included, 0 for all;
  /// empty: every layer sees all.
  std::vector<std::int64_t> layer_windows;
  int ffn_size = 0;
  ExpertConfig experts;
  int vocab_size = 0;
  std::int64_t context_length = 0;  ///< that the model was trained for
  Norm norm = Norm::kRms;
  float rms_norm_eps = 1e-5F;
  float layer_norm_eps = 1e-5F;
  RopeConfig rope;
  RopeConfig local_rope;  ///< of layers with a window, where they have one of their own

  float embedding_scale = 1.0F;    ///< of what enters the first layer
  float residual_scale = 1.0F;     ///< of what a layer adds to the residual stream
  float attention_scale = 0.0F;    ///< of scores; 0: 1 / sqrt(head_dim)
  float attention_softcap = 0.0F;  ///< of scores; 0: none
  float logit_scale = 1.0F;
  float logit_softcap = 0.0F;  ///< 0: none

  /// Attends to both sides and has no head: made for embeddings.
  bool is_encoder = false;
  Pooling pooling = Pooling::kNone;

  int v_dim() const { return value_dim > 0 ? value_dim : head_dim; }
  int q_size() const { return num_heads * head_dim; }
  /// Of what attention gives, all heads together.
  int attention_size() const { return num_heads * v_dim(); }
  int kv_size() const { return num_kv_heads * head_dim; }
  /// Of the values that append_kv() takes; 0 where the cache is latent.
  int value_size() const { return latent_kv ? 0 : num_kv_heads * v_dim(); }
  /// Of layers without experts, where there are any.
  int dense_ffn_size() const {
    return experts.count > 0 && experts.dense_layers == 0 ? 0 : ffn_size;
  }
  /// 0 where the layer sees all.
  std::int64_t window(int layer) const {
    return layer_windows.empty() ? 0 : layer_windows[static_cast<std::size_t>(layer)];
  }
  /// Of a KV cache for this model, with `blocks` blocks in each group of layers.
  KvCacheShape kv_shape(DType dtype, int blocks = 0) const;
  /// Elements of KV cache that a sequence of `tokens` holds, not counting the free slots of
  /// blocks: (K and V) x layers x kv_heads x head_dim for each, windows apart.
  std::int64_t kv_elements(std::int64_t tokens) const;
};

/// Reads and checks the metadata of a GGUF file. Errors name the file, the key, its
/// value and what was expected.
Result<ModelConfig> read_model_config(const Checkpoint& file);

/// The architectures that there are, for messages: "llama, qwen2, qwen3".
std::string supported_architectures();
bool is_supported_architecture(std::string_view name);

}  // namespace ridgeline
