#pragma once

#include <vector>

#include "ridgeline/model/decoder.h"

namespace ridgeline {

/// BERT (Devlin et al. 2019), for embeddings: every position sees every other, norms behind
/// attention and network, learned positions, and a kind for each token, of which texts
/// alone have the first. With rotary positions and a gated network it is nomic-bert
/// (Nussbaum et al. 2024).
class Bert final : public Decoder {
 public:
  Bert(ModelConfig config, Backend& backend) : Decoder(std::move(config), backend) {}

 private:
  Status load_layer(WeightLoader& loader, const std::string& prefix) override;
  void embed_tokens(const Batch& batch) override;
  bool forward_layer(int layer, const Batch& batch, KvCache& cache) override;
  void finish() override {}  // the last layer ends in a norm
  Status load_ends(WeightLoader& loader) override;

  struct Layer : AttentionWeights, FfnWeights {
    std::unique_ptr<PackedWeight> gate;    ///< [ffn][hidden], nomic-bert
    NormWeights attention_post, ffn_post;  ///< [hidden]
  };
  std::vector<Layer> layers_;
  NormWeights embedding_norm_;
  std::unique_ptr<PackedWeight> token_types_;  ///< [types][hidden], or null
  std::vector<std::int32_t> types_;            ///< of a batch: zeros
};

}  // namespace ridgeline
