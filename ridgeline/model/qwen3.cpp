#include "ridgeline/model/qwen3.h"

#include <array>
#include <cmath>

namespace ridgeline {

void Qwen3::forward(const Batch& batch, KvCache& cache) {
  const float eps = config_.rms_norm_eps;
  const AttentionParams attention{.scale = 1.0F / std::sqrt(static_cast<float>(config_.head_dim))};
  begin(batch);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const LayerWeights& w = layers_[i].common;
    const int layer = static_cast<int>(i);

    ops_.rms_norm(x_, floats(w.attention_norm), eps, h_);
    ops_.linear(h_, std::array{LinearOutput{w.q.get(), q_, floats(w.q_bias)},
                               LinearOutput{w.k.get(), k_, floats(w.k_bias)},
                               LinearOutput{w.v.get(), v_, floats(w.v_bias)}});
    const Matrix q_heads = q_.split_heads(config_.num_heads);
    const Matrix k_heads = k_.split_heads(config_.num_kv_heads);
    ops_.rms_norm(q_heads, floats(layers_[i].q_norm), eps, q_heads);
    ops_.rms_norm(k_heads, floats(layers_[i].k_norm), eps, k_heads);
    ops_.rope(q_, config_.num_heads, rope_, config_.rope.style);
    ops_.rope(k_, config_.num_kv_heads, rope_, config_.rope.style);
    ops_.append_kv(cache, layer, k_, v_, batch.slices);
    ops_.attention(cache, layer, q_, batch.slices, attention, attention_);
    if (i + 1 == layers_.size() && !keep_logit_rows(batch)) return;
    ops_.linear(attention_, std::array{LinearOutput{w.o.get(), x_, nullptr, /*add=*/true}});

    ops_.rms_norm(x_, floats(w.ffn_norm), eps, h_);
    if (w.mixture) {
      mixture_.add(h_, *w.mixture, x_);
      continue;
    }
    ops_.gated_linear(h_, *w.gate, *w.up, ffn_);
    ops_.linear(ffn_, std::array{LinearOutput{w.down.get(), x_, nullptr, /*add=*/true}});
  }
  finish();
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
