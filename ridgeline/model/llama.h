#pragma once

#include <vector>

#include "ridgeline/model/decoder.h"
#include "ridgeline/model/layer_weights.h"

namespace ridgeline {

/// Llama 1 to 3 and Mistral (Touvron et al. 2023): pre-norm, rotary positions,
/// grouped-query attention, SwiGLU. With biases on Q, K and V it is Qwen2 and
/// Qwen2.5 (Yang et al. 2024), which only pair the rotated dimensions differently
/// (ModelConfig::rope.style). Phi-3 and Phi-4 (Abdin et al. 2024) are it too; their files hold
/// Q, K and V in one matrix, and gate and up in another.
class Llama final : public Decoder {
 public:
  Llama(ModelConfig config, Backend& backend) : Decoder(std::move(config), backend) {}

 private:
  Status load_layer(WeightLoader& loader, const std::string& prefix) override;
  bool forward_layer(int layer, const Batch& batch, KvCache& cache) override;

  std::vector<LayerWeights> layers_;
};

}  // namespace ridgeline
