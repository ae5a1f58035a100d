#pragma once

#include <optional>
#include <vector>

#include "ridgeline/model/decoder.h"

namespace ridgeline {

/// DeepSeek-V2 (DeepSeek-AI 2024), V2-Lite, V3 and R1: multi-head latent attention, and after
/// some dense layers mixtures of many small experts with shared ones beside them.
///
/// The latent is what is cached. Instead of making each head's keys and values from it for
/// every position, the query takes the keys' matrix upon itself, and the values' matrix comes
/// after attention (section 2.1.2): then all heads attend to the latents as to one KV head,
/// whose values are the first part of its keys.
class Deepseek2 final : public Decoder {
 public:
  Deepseek2(ModelConfig config, Backend& backend) : Decoder(std::move(config), backend) {}

 private:
  Status load_layer(WeightLoader& loader, const std::string& prefix) override;
  bool forward_layer(int layer, const Batch& batch, KvCache& cache) override;
  Status allocate_own(std::int64_t max_rows) override;

  struct Layer : GatedFfnWeights {
    std::unique_ptr<DeviceBuffer> attention_norm, ffn_norm;  ///< [hidden]
    std::unique_ptr<PackedWeight> q;                         ///< [heads * query_dim][hidden], or
    std::unique_ptr<PackedWeight> q_a, q_b;                  ///< by way of [q_rank]
    std::unique_ptr<DeviceBuffer> q_norm;                    ///< [q_rank]
    std::unique_ptr<PackedWeight> kv_a;                      ///< [rank + rope_dim][hidden]
    std::unique_ptr<DeviceBuffer> kv_norm;                   ///< [rank]
    WeightLoader::LatentHeads heads;  ///< k: [rank][key_dim], v: [value_dim][rank]
    std::unique_ptr<PackedWeight> o;  ///< [hidden][heads * value_dim]
    std::optional<MixtureWeights> mixture;
  };
  /// q_ and k_ of the layer, from h_.
  void project(const Layer& w);

  Matrix queries_;  ///< [heads * query_dim]
  Matrix low_;      ///< [q_rank]
  Matrix values_;   ///< [heads * value_dim]
  std::vector<Layer> layers_;
};

}  // namespace ridgeline
