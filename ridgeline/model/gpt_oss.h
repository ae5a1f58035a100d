#pragma once

#include <vector>

#include "ridgeline/model/decoder.h"

namespace ridgeline {

/// gpt-oss (OpenAI 2025): every layer a mixture of experts, every other one with a window;
/// biases everywhere, and for each head a sink, which takes a share of attention and gives
/// nothing (Xiao et al. 2023).
class GptOss final : public Decoder {
 public:
  GptOss(ModelConfig config, Backend& backend) : Decoder(std::move(config), backend) {}

 private:
  Status load_layer(WeightLoader& loader, const std::string& prefix) override;
  bool forward_layer(int layer, const Batch& batch, KvCache& cache) override;

  struct Layer : AttentionWeights {
    std::unique_ptr<DeviceBuffer> attention_norm, ffn_norm;  ///< [hidden]
    std::unique_ptr<DeviceBuffer> sinks;                     ///< [heads]
    MixtureWeights mixture;
  };
  std::vector<Layer> layers_;
};

}  // namespace ridgeline
