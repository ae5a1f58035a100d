#include "ridgeline/model/phi2.h"

#include <array>

namespace ridgeline {

bool Phi2::forward_layer(int layer, const Batch& batch, KvCache& cache) {
  const auto& w = layers_[index_of(layer)];

  norm(x_, w.norm, h_);
  project(h_, w);
  rotate(layer);
  attend(batch, cache, layer);
  if (is_last(layer) && !keep_logit_rows(batch)) return false;
  ops_.linear(attention_, std::array{added(*w.o, w.o_bias)});

  ops_.linear(h_, std::array{LinearOutput{w.up.get(), ffn_, floats(w.up_bias)}});
  ops_.activate(ffn_, Activation::kGeluTanh);
  ops_.linear(ffn_, std::array{added(*w.down, w.down_bias)});
  return true;
}

Status Phi2::load_layer(WeightLoader& loader, const std::string& prefix) {
  Layer w;
  RIDGELINE_TRY(w.norm, NormWeights::load(loader, prefix + "attn_norm", config_.hidden_size));
  RIDGELINE_TRY_STATUS(w.load_attention(loader, prefix, config_));
  RIDGELINE_TRY_STATUS(w.load_ffn(loader, prefix, config_));
  layers_.push_back(std::move(w));
  return {};
}

}  // namespace ridgeline
