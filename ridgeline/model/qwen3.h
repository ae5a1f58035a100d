#pragma once

#include <vector>

#include "ridgeline/model/decoder.h"
#include "ridgeline/model/layer_weights.h"

namespace ridgeline {

/// Qwen3 (Yang et al. 2025): Llama's layer with an RMS norm over every head of Q and
/// of K before the rotation, and heads whose width is free of the hidden size.
class Qwen3 final : public Decoder {
 public:
  Qwen3(ModelConfig config, Backend& backend) : Decoder(std::move(config), backend) {}

 private:
  Status load_layer(WeightLoader& loader, const std::string& prefix) override;
  bool forward_layer(int layer, const Batch& batch, KvCache& cache) override;

  struct Layer {
    LayerWeights common;
    std::unique_ptr<DeviceBuffer> q_norm, k_norm;  ///< [head_dim], shared by all heads
  };
  std::vector<Layer> layers_;
};

}  // namespace ridgeline
