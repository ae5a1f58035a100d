#pragma once

#include <vector>

#include "ridgeline/model/decoder.h"

namespace ridgeline {

/// OLMo 2 (OLMo Team 2025): Llama's layer with its norms behind attention and network
/// instead of before them, and norms over the whole of Q and of K. OLMo 3 has windows.
class Olmo2 final : public Decoder {
 public:
  Olmo2(ModelConfig config, Backend& backend) : Decoder(std::move(config), backend) {}

 private:
  Status load_layer(WeightLoader& loader, const std::string& prefix) override;
  bool forward_layer(int layer, const Batch& batch, KvCache& cache) override;

  struct Layer : AttentionWeights, GatedFfnWeights {
    NormWeights q_norm, k_norm;            ///< [heads * head_dim], [kv_heads * head_dim]
    NormWeights attention_post, ffn_post;  ///< [hidden]
  };
  std::vector<Layer> layers_;
};

}  // namespace ridgeline
