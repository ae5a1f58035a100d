#include "ridgeline/model/qwen3.h"

#include <array>

namespace ridgeline {

bool Qwen3::forward_layer(int layer, const Batch& batch, KvCache& cache) {
  const auto& [w, q_norm, k_norm] = layers_[index_of(layer)];

  ops_.rms_norm(x_, floats(w.attention_norm), config_.rms_norm_eps, h_);
  project(h_, w);
  const Matrix q_heads = q_.split_heads(config_.num_heads);
  const Matrix k_heads = k_.split_heads(config_.num_kv_heads);
  ops_.rms_norm(q_heads, floats(q_norm), config_.rms_norm_eps, q_heads);
  ops_.rms_norm(k_heads, floats(k_norm), config_.rms_norm_eps, k_heads);
  rotate(layer);
  attend(batch, cache, layer);
  if (is_last(layer) && !keep_logit_rows(batch)) return false;
  ops_.linear(attention_, std::array{added(*w.o, w.o_bias)});

  ops_.rms_norm(x_, floats(w.ffn_norm), config_.rms_norm_eps, h_);
  if (w.mixture) {
    mixture_.add(h_, *w.mixture, x_);
    return true;
  }
  ops_.gated_linear(h_, *w.gate, *w.up, ffn_);
  ops_.linear(ffn_, std::array{added(*w.down)});
  return true;
}

Status Qwen3::load_layer(WeightLoader& loader, const std::string& prefix) {
  Layer layer;
  RIDGELINE_TRY(layer.common, LayerWeights::load(loader, prefix, config_));
  RIDGELINE_TRY(layer.q_norm, loader.vector(prefix + "attn_q_norm.weight", config_.head_dim));
  RIDGELINE_TRY(layer.k_norm, loader.vector(prefix + "attn_k_norm.weight", config_.head_dim));
  layers_.push_back(std::move(layer));
  return {};
}

}  // namespace ridgeline
