#pragma once

#include <memory>
#include <optional>
#include <string>

#include "ridgeline/model/mixture.h"
#include "ridgeline/model/model_config.h"
#include "ridgeline/model/weight_loader.h"

// The parts that layers are put together from. Each takes the tensors whose names start
// with `prefix` ("blk.3."); what a file may lack is null.

namespace ridgeline {

/// A norm of `size` elements.
struct NormWeights {
  std::unique_ptr<DeviceBuffer> weight, bias;  ///< the bias of layer norms may be null

  /// "NAME.weight" and, if there is one, "NAME.bias".
  static Result<NormWeights> load(WeightLoader& loader, const std::string& name, std::int64_t size);
};

/// The four projections of attention, from a file that has Q, K and V apart (attn_q, ...)
/// or one below the other (attn_qkv).
struct AttentionWeights {
  std::unique_ptr<PackedWeight> q;                       ///< [heads * head_dim][hidden]
  std::unique_ptr<PackedWeight> k, v;                    ///< [kv_heads * head_dim][hidden]
  std::unique_ptr<DeviceBuffer> q_bias, k_bias, v_bias;  ///< null where absent
  std::unique_ptr<PackedWeight> o;                       ///< [hidden][heads * head_dim]
  std::unique_ptr<DeviceBuffer> o_bias;                  ///< null where absent

  Status load_attention(WeightLoader& loader, const std::string& prefix, const ModelConfig& config);
};

/// A feed-forward network with a gate, from a file that has gate and up apart or gate above
/// up (ffn_up of twice the rows).
struct GatedFfnWeights {
  std::unique_ptr<PackedWeight> gate, up;  ///< [ffn][hidden]
  std::unique_ptr<PackedWeight> down;      ///< [hidden][ffn]

  Status load_gated_ffn(WeightLoader& loader, const std::string& prefix, const ModelConfig& config);
};

/// A feed-forward network without a gate.
struct FfnWeights {
  std::unique_ptr<PackedWeight> up;                  ///< [ffn][hidden]
  std::unique_ptr<PackedWeight> down;                ///< [hidden][ffn]
  std::unique_ptr<DeviceBuffer> up_bias, down_bias;  ///< null where absent

  Status load_ffn(WeightLoader& loader, const std::string& prefix, const ModelConfig& config);
};

/// The tensors that a Llama-like layer consists of.
struct LayerWeights : AttentionWeights, GatedFfnWeights {
  std::optional<MixtureWeights> mixture;         ///< in place of the feed-forward network
  std::unique_ptr<DeviceBuffer> attention_norm;  ///< [hidden]
  std::unique_ptr<DeviceBuffer> ffn_norm;        ///< [hidden]

  static Result<LayerWeights> load(WeightLoader& loader, const std::string& prefix,
                                   const ModelConfig& config);
};

}  // namespace ridgeline
