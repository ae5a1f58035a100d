#include "ridgeline/model/granite.h"

#include <array>

namespace ridgeline {

bool Granite::forward_layer(int layer, const Batch& batch, KvCache& cache) {
  const auto& w = layers_[index_of(layer)];

  ops_.rms_norm(x_, floats(w.attention_norm), config_.rms_norm_eps, h_);
  project(h_, w);
  rotate(layer);
  attend(batch, cache, layer);
  if (is_last(layer) && !keep_logit_rows(batch)) return false;
  ops_.linear(attention_, std::array{added(*w.o, w.o_bias, config_.residual_scale)});

  ops_.rms_norm(x_, floats(w.ffn_norm), config_.rms_norm_eps, h_);
  ops_.gated_linear(h_, *w.gate, *w.up, ffn_);
  ops_.linear(ffn_, std::array{added(*w.down, nullptr, config_.residual_scale)});
  return true;
}

Status Granite::load_layer(WeightLoader& loader, const std::string& prefix) {
  RIDGELINE_TRY(LayerWeights layer, LayerWeights::load(loader, prefix, config_));
  layers_.push_back(std::move(layer));
  return {};
}

}  // namespace ridgeline
