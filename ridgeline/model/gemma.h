#pragma once

#include <vector>

#include "ridgeline/model/decoder.h"

namespace ridgeline {

/// Gemma (Gemma Team, Google 2024): Llama's layer with a GELU in the gate and the embedding
/// scaled by the root of its width. GGUF stores its norms' weights with the 1 added that
/// they are relative to.
class Gemma final : public Decoder {
 public:
  Gemma(ModelConfig config, Backend& backend) : Decoder(std::move(config), backend) {}

 private:
  Status load_layer(WeightLoader& loader, const std::string& prefix) override;
  bool forward_layer(int layer, const Batch& batch, KvCache& cache) override;

  std::vector<LayerWeights> layers_;
};

}  // namespace ridgeline
