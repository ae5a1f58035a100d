#include "ridgeline/model/bert.h"

#include <array>

namespace ridgeline {

void Bert::embed_tokens(const Batch& batch) {
  Decoder::embed_tokens(batch);
  if (token_types_) {
    types_.assign(batch.tokens.size(), 0);
    ops_.embed(*token_types_, types_, h_);
    ops_.add(h_, x_);
  }
  norm(x_, embedding_norm_, x_);
}

bool Bert::forward_layer(int layer, const Batch& batch, KvCache& cache) {
  const auto& w = layers_[index_of(layer)];

  project(x_, w);
  rotate(layer);
  attend(batch, cache, layer);
  if (is_last(layer) && !keep_logit_rows(batch)) return false;
  ops_.linear(attention_, std::array{added(*w.o, w.o_bias)});
  norm(x_, w.attention_post, x_);

  if (w.gate) {
    ops_.gated_linear(x_, *w.gate, *w.up, ffn_);
  } else {
    ops_.linear(x_, std::array{LinearOutput{w.up.get(), ffn_, floats(w.up_bias)}});
    ops_.activate(ffn_, Activation::kGeluErf);
  }
  ops_.linear(ffn_, std::array{added(*w.down, w.down_bias)});
  norm(x_, w.ffn_post, is_last(layer) ? h_ : x_);
  return true;
}

Status Bert::load_ends(WeightLoader& loader) {
  RIDGELINE_TRY(embedding_norm_, NormWeights::load(loader, "token_embd_norm", config_.hidden_size));
  if (loader.has("token_types.weight")) {
    RIDGELINE_TRY(const int types, loader.rows("token_types.weight"));
    RIDGELINE_TRY(token_types_, loader.matrix("token_types.weight", types, config_.hidden_size));
  }
  return {};
}

Status Bert::load_layer(WeightLoader& loader, const std::string& prefix) {
  const auto load_norm = [&](const char* name) {
    return NormWeights::load(loader, prefix + name, config_.hidden_size);
  };
  Layer w;
  RIDGELINE_TRY_STATUS(w.load_attention(loader, prefix, config_));
  RIDGELINE_TRY(w.attention_post, load_norm("attn_output_norm"));
  if (config_.architecture == "nomic-bert") {
    RIDGELINE_TRY(w.gate,
                  loader.matrix(prefix + "ffn_gate.weight", config_.ffn_size, config_.hidden_size));
    RIDGELINE_TRY(w.up,
                  loader.matrix(prefix + "ffn_up.weight", config_.ffn_size, config_.hidden_size));
    RIDGELINE_TRY(w.down,
                  loader.matrix(prefix + "ffn_down.weight", config_.hidden_size, config_.ffn_size));
  } else {
    RIDGELINE_TRY_STATUS(w.load_ffn(loader, prefix, config_));
  }
  RIDGELINE_TRY(w.ffn_post, load_norm("layer_output_norm"));
  layers_.push_back(std::move(w));
  return {};
}

}  // namespace ridgeline
