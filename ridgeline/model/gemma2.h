#pragma once

#include <vector>

#include "ridgeline/model/decoder.h"

namespace ridgeline {

/// Gemma 2 (Gemma Team, Google 2024): Gemma's layer between two norms each, every other one
/// with a window, and caps on scores and logits. Gemma 3 (2025) norms every head of Q and K
/// instead of capping, has five layers with a window to one without, and rotates those by
/// another base.
class Gemma2 final : public Decoder {
 public:
  Gemma2(ModelConfig config, Backend& backend) : Decoder(std::move(config), backend) {}

 private:
  Status load_layer(WeightLoader& loader, const std::string& prefix) override;
  bool forward_layer(int layer, const Batch& batch, KvCache& cache) override;

  struct Layer : AttentionWeights, GatedFfnWeights {
    NormWeights attention_norm, attention_post, ffn_norm, ffn_post;  ///< [hidden]
    NormWeights q_norm, k_norm;                                      ///< [head_dim], Gemma 3
  };
  std::vector<Layer> layers_;
};

}  // namespace ridgeline
