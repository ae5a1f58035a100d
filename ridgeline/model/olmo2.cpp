#include "ridgeline/model/olmo2.h"

#include <array>

namespace ridgeline {

bool Olmo2::forward_layer(int layer, const Batch& batch, KvCache& cache) {
  const auto& w = layers_[index_of(layer)];

  project(x_, w);
  norm(q_, w.q_norm, q_);
  norm(k_, w.k_norm, k_);
  rotate(layer);
  attend(batch, cache, layer);
  if (is_last(layer) && !keep_logit_rows(batch)) return false;
  ops_.linear(attention_, std::array{LinearOutput{w.o.get(), h_, floats(w.o_bias)}});
  norm(h_, w.attention_post, h_);
  ops_.add(h_, x_);

  ops_.gated_linear(x_, *w.gate, *w.up, ffn_);
  ops_.linear(ffn_, std::array{LinearOutput{w.down.get(), h_}});
  norm(h_, w.ffn_post, h_);
  ops_.add(h_, x_);
  return true;
}

Status Olmo2::load_layer(WeightLoader& loader, const std::string& prefix) {
  const auto load_norm = [&](const char* name, std::int64_t size) {
    return NormWeights::load(loader, prefix + name, size);
  };
  Layer w;
  RIDGELINE_TRY_STATUS(w.load_attention(loader, prefix, config_));
  RIDGELINE_TRY_STATUS(w.load_gated_ffn(loader, prefix, config_));
  RIDGELINE_TRY(w.q_norm, load_norm("attn_q_norm", config_.q_size()));
  RIDGELINE_TRY(w.k_norm, load_norm("attn_k_norm", config_.kv_size()));
  RIDGELINE_TRY(w.attention_post, load_norm("post_attention_norm", config_.hidden_size));
  RIDGELINE_TRY(w.ffn_post, load_norm("post_ffw_norm", config_.hidden_size));
  layers_.push_back(std::move(w));
  return {};
}

}  // namespace ridgeline
