#pragma once

#include <memory>
#include <string>

#include "ridgeline/model/model_config.h"
#include "ridgeline/model/weight_loader.h"

namespace ridgeline {

/// The tensors that a Llama-like layer consists of.
struct LayerWeights {
  std::unique_ptr<DeviceBuffer> attention_norm;          ///< [hidden]
  std::unique_ptr<PackedWeight> q;                       ///< [heads * head_dim][hidden]
  std::unique_ptr<PackedWeight> k, v;                    ///< [kv_heads * head_dim][hidden]
  std::unique_ptr<DeviceBuffer> q_bias, k_bias, v_bias;  ///< null where absent
  std::unique_ptr<PackedWeight> o;                       ///< [hidden][heads * head_dim]
  std::unique_ptr<DeviceBuffer> ffn_norm;                ///< [hidden]
  std::unique_ptr<PackedWeight> gate, up;                ///< [ffn][hidden]
  std::unique_ptr<PackedWeight> down;                    ///< [hidden][ffn]

  /// Takes the tensors whose names start with `prefix` ("blk.3.").
  static Result<LayerWeights> load(WeightLoader& loader, const std::string& prefix,
                                   const ModelConfig& config);
};

}  // namespace ridgeline
