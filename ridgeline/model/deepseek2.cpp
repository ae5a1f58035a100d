#include "ridgeline/model/deepseek2.h"

#include <array>

namespace ridgeline {

bool Deepseek2::forward_layer(int layer, const Batch& batch, KvCache& cache) {
  const Layer& w = layers_[index_of(layer)];

  ops_.rms_norm(x_, floats(w.attention_norm), config_.rms_norm_eps, h_);
  project(w);
  attend(batch, cache, layer);
  if (is_last(layer) && !keep_logit_rows(batch)) return false;
  const Matrix values = values_.first_rows(x_.rows);
  ops_.linear_by_head(attention_, w.heads.v, values);
  ops_.linear(values, std::array{added(*w.o)});

  ops_.rms_norm(x_, floats(w.ffn_norm), config_.rms_norm_eps, h_);
  if (w.mixture) {
    mixture_.add(h_, *w.mixture, x_);
    return true;
  }
  ops_.gated_linear(h_, *w.gate, *w.up, ffn_);
  ops_.linear(ffn_, std::array{added(*w.down)});
  return true;
}

void Deepseek2::project(const Layer& w) {
  const LatentConfig& c = config_.latent;
  const Matrix queries = queries_.first_rows(x_.rows);
  if (w.q) {
    ops_.linear(h_, std::array{LinearOutput{w.q.get(), queries}, LinearOutput{w.kv_a.get(), k_}});
  } else {
    const Matrix low = low_.first_rows(x_.rows);
    ops_.linear(h_, std::array{LinearOutput{w.q_a.get(), low}, LinearOutput{w.kv_a.get(), k_}});
    ops_.rms_norm(low, floats(w.q_norm), config_.rms_norm_eps, low);
    ops_.linear(low, std::array{LinearOutput{w.q_b.get(), queries}});
  }

  // What is cached: the latent, normalised, and the key that all heads share, rotated.
  const Matrix latent = k_.slice_cols(0, c.rank);
  ops_.rms_norm(latent, floats(w.kv_norm), config_.rms_norm_eps, latent);
  ops_.rope(k_.slice_cols(c.rank, c.rope_dim), 1, rope_, config_.rope.style);

  // The queries likewise: what the keys' matrix makes of them, and their rotated part.
  ops_.linear_by_head(queries, w.heads.k, q_);
  const Matrix rotated = q_.within_heads(c.rank);
  ops_.copy_heads(queries.within_heads(c.key_dim), rotated, config_.num_heads, c.rope_dim);
  ops_.rope(rotated, config_.num_heads, rope_, config_.rope.style);
}

Status Deepseek2::allocate_own(std::int64_t max_rows) {
  const LatentConfig& c = config_.latent;
  const std::int64_t heads = config_.num_heads;
  RIDGELINE_TRY(queries_, workspace_matrix(max_rows, heads * c.query_dim(), "queries"));
  RIDGELINE_TRY(low_, workspace_matrix(max_rows, c.q_rank, "latent queries"));
  RIDGELINE_TRY(values_, workspace_matrix(max_rows, heads * c.value_dim, "attention results"));
  return {};
}

Status Deepseek2::load_layer(WeightLoader& loader, const std::string& prefix) {
  const ModelConfig& c = config_;
  const LatentConfig& latent = c.latent;
  const std::int64_t heads = c.num_heads, hidden = c.hidden_size;
  Layer w;
  RIDGELINE_TRY(w.attention_norm, loader.vector(prefix + "attn_norm.weight", hidden));
  if (latent.q_rank == 0 || loader.has(prefix + "attn_q.weight")) {
    RIDGELINE_TRY(w.q, loader.matrix(prefix + "attn_q.weight", heads * latent.query_dim(), hidden));
  } else {
    RIDGELINE_TRY(w.q_a, loader.matrix(prefix + "attn_q_a.weight", latent.q_rank, hidden));
    RIDGELINE_TRY(w.q_norm, loader.vector(prefix + "attn_q_a_norm.weight", latent.q_rank));
    RIDGELINE_TRY(w.q_b, loader.matrix(prefix + "attn_q_b.weight", heads * latent.query_dim(),
                                       latent.q_rank));
  }
  RIDGELINE_TRY(w.kv_a, loader.matrix(prefix + "attn_kv_a_mqa.weight",
                                      latent.rank + latent.rope_dim, hidden));
  RIDGELINE_TRY(w.kv_norm, loader.vector(prefix + "attn_kv_a_norm.weight", latent.rank));
  if (loader.has(prefix + "attn_k_b.weight")) {
    RIDGELINE_TRY(w.heads.k,
                  loader.stack(prefix + "attn_k_b.weight", heads, latent.rank, latent.key_dim));
    RIDGELINE_TRY(w.heads.v,
                  loader.stack(prefix + "attn_v_b.weight", heads, latent.value_dim, latent.rank));
  } else {
    RIDGELINE_TRY(w.heads, loader.latent_heads(prefix + "attn_kv_b.weight", heads, latent.key_dim,
                                               latent.value_dim, latent.rank));
  }
  RIDGELINE_TRY(w.o,
                loader.matrix(prefix + "attn_output.weight", hidden, heads * latent.value_dim));
  RIDGELINE_TRY(w.ffn_norm, loader.vector(prefix + "ffn_norm.weight", hidden));
  if (c.experts.count > 0 && layer_at(layers_.size()) >= c.experts.dense_layers) {
    RIDGELINE_TRY(w.mixture, MixtureWeights::load(loader, prefix, c));
  } else {
    RIDGELINE_TRY_STATUS(w.load_gated_ffn(loader, prefix, c));
  }
  layers_.push_back(std::move(w));
  return {};
}

}  // namespace ridgeline
