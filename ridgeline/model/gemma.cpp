#include "ridgeline/model/gemma.h"

#include <array>

namespace ridgeline {

void Gemma::forward(const Batch& batch, KvCache& cache) {
  begin(batch);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const auto& w = layers_[i];
    const int layer = static_cast<int>(i);

    ops_.rms_norm(x_, floats(w.attention_norm), config_.rms_norm_eps, h_);
    project(h_, w);
    rotate(layer);
    attend(batch, cache, layer);
    if (i + 1 == layers_.size() && !keep_logit_rows(batch)) return;
    ops_.linear(attention_, std::array{added(*w.o, w.o_bias)});

    ops_.rms_norm(x_, floats(w.ffn_norm), config_.rms_norm_eps, h_);
    ops_.gated_linear(h_, *w.gate, *w.up, ffn_, Activation::kGeluTanh);
    ops_.linear(ffn_, std::array{added(*w.down)});
  }
  finish();
}

Status Gemma::load_layer(WeightLoader& loader, const std::string& prefix) {
  RIDGELINE_TRY(LayerWeights layer, LayerWeights::load(loader, prefix, config_));
  layers_.push_back(std::move(layer));
  return {};
}

}  // namespace ridgeline
