#include "ridgeline/model/gpt_oss.h"

#include <array>

namespace ridgeline {

bool GptOss::forward_layer(int layer, const Batch& batch, KvCache& cache) {
  const Layer& w = layers_[index_of(layer)];

  ops_.rms_norm(x_, floats(w.attention_norm), config_.rms_norm_eps, h_);
  project(h_, w);
  rotate(layer);
  attend(batch, cache, layer, floats(w.sinks));
  if (is_last(layer) && !keep_logit_rows(batch)) return false;
  ops_.linear(attention_, std::array{added(*w.o, w.o_bias)});

  ops_.rms_norm(x_, floats(w.ffn_norm), config_.rms_norm_eps, h_);
  mixture_.add(h_, w.mixture, x_);
  return true;
}

Status GptOss::load_layer(WeightLoader& loader, const std::string& prefix) {
  Layer w;
  RIDGELINE_TRY(w.attention_norm, loader.vector(prefix + "attn_norm.weight", config_.hidden_size));
  RIDGELINE_TRY_STATUS(w.load_attention(loader, prefix, config_));
  RIDGELINE_TRY(w.sinks, loader.vector(prefix + "attn_sinks.weight", config_.num_heads));
  RIDGELINE_TRY(w.ffn_norm,
                loader.vector(prefix + "post_attention_norm.weight", config_.hidden_size));
  RIDGELINE_TRY(w.mixture, MixtureWeights::load(loader, prefix, config_));
  w.mixture.activation = Activation::kSwigluOai;
  layers_.push_back(std::move(w));
  return {};
}

}  // namespace ridgeline
