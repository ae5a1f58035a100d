#include "ridgeline/model/layer_weights.h"

namespace ridgeline {

Result<LayerWeights> LayerWeights::load(WeightLoader& loader, const std::string& prefix,
                                        const ModelConfig& c) {
  LayerWeights w;
  RIDGELINE_TRY(w.attention_norm, loader.vector(prefix + "attn_norm.weight", c.hidden_size));
  RIDGELINE_TRY(w.q, loader.matrix(prefix + "attn_q.weight", c.q_size(), c.hidden_size));
  RIDGELINE_TRY(w.k, loader.matrix(prefix + "attn_k.weight", c.kv_size(), c.hidden_size));
  RIDGELINE_TRY(w.v, loader.matrix(prefix + "attn_v.weight", c.kv_size(), c.hidden_size));
  RIDGELINE_TRY(w.q_bias, loader.optional_vector(prefix + "attn_q.bias", c.q_size()));
  RIDGELINE_TRY(w.k_bias, loader.optional_vector(prefix + "attn_k.bias", c.kv_size()));
  RIDGELINE_TRY(w.v_bias, loader.optional_vector(prefix + "attn_v.bias", c.kv_size()));
  RIDGELINE_TRY(w.o, loader.matrix(prefix + "attn_output.weight", c.hidden_size, c.q_size()));
  RIDGELINE_TRY(w.ffn_norm, loader.vector(prefix + "ffn_norm.weight", c.hidden_size));
  RIDGELINE_TRY(w.gate, loader.matrix(prefix + "ffn_gate.weight", c.ffn_size, c.hidden_size));
  RIDGELINE_TRY(w.up, loader.matrix(prefix + "ffn_up.weight", c.ffn_size, c.hidden_size));
  RIDGELINE_TRY(w.down, loader.matrix(prefix + "ffn_down.weight", c.hidden_size, c.ffn_size));
  return w;
}

}  // namespace ridgeline
