#pragma once

#include <vector>

#include "ridgeline/model/decoder.h"

namespace ridgeline {

/// Phi-1.5 and Phi-2 (Li et al. 2023): attention and network side by side, from one norm of
/// the residual stream; some of each head's dimensions rotate.
class Phi2 final : public Decoder {
 public:
  Phi2(ModelConfig config, Backend& backend) : Decoder(std::move(config), backend) {}

 private:
  Status load_layer(WeightLoader& loader, const std::string& prefix) override;
  bool forward_layer(int layer, const Batch& batch, KvCache& cache) override;

  struct Layer : AttentionWeights, FfnWeights {
    NormWeights norm;  ///< [hidden]
  };
  std::vector<Layer> layers_;
};

}  // namespace ridgeline
