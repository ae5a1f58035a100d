#pragma once

#include <vector>

#include "ridgeline/model/decoder.h"

namespace ridgeline {

/// Granite 3 (Granite Team, IBM 2024): Llama's layer, with factors on the embedding, on the
/// scores, on what a layer adds to the residual stream and on the logits.
class Granite final : public Decoder {
 public:
  Granite(ModelConfig config, Backend& backend) : Decoder(std::move(config), backend) {}

 private:
  Status load_layer(WeightLoader& loader, const std::string& prefix) override;
  bool forward_layer(int layer, const Batch& batch, KvCache& cache) override;

  std::vector<LayerWeights> layers_;
};

}  // namespace ridgeline
