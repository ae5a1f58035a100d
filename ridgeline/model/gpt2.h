#pragma once

#include <vector>

#include "ridgeline/model/decoder.h"

namespace ridgeline {

/// GPT-2 (Radford et al. 2019): layer norms, biases, a network without a gate, learned
/// positions. With rotary positions and grouped queries it is StarCoder 2 (Lozhkov et al.
/// 2024).
class Gpt2 final : public Decoder {
 public:
  Gpt2(ModelConfig config, Backend& backend) : Decoder(std::move(config), backend) {}

 private:
  Status load_layer(WeightLoader& loader, const std::string& prefix) override;
  bool forward_layer(int layer, const Batch& batch, KvCache& cache) override;

  struct Layer : AttentionWeights, FfnWeights {
    NormWeights attention_norm, ffn_norm;  ///< [hidden]
  };
  std::vector<Layer> layers_;
};

}  // namespace ridgeline
