#include "ridgeline/model/layer_weights.h"

namespace ridgeline {

Result<NormWeights> NormWeights::load(WeightLoader& loader, const std::string& name,
                                      std::int64_t size) {
  NormWeights norm;
  RIDGELINE_TRY(norm.weight, loader.vector(name + ".weight", size));
  RIDGELINE_TRY(norm.bias, loader.optional_vector(name + ".bias", size));
  return norm;
}

Status AttentionWeights::load_attention(WeightLoader& loader, const std::string& prefix,
                                        const ModelConfig& c) {
  const std::string fused = prefix + "attn_qkv.weight", fused_bias = prefix + "attn_qkv.bias";
  const std::int64_t all = c.q_size() + c.kv_size() + c.value_size();
  const auto part = [&](const char* name, std::int64_t first, std::int64_t rows,
                        std::unique_ptr<PackedWeight>& weight,
                        std::unique_ptr<DeviceBuffer>& bias) -> Status {
    if (!loader.has(fused)) {
      RIDGELINE_TRY(weight, loader.matrix(prefix + name + ".weight", rows, c.hidden_size));
      RIDGELINE_TRY(bias, loader.optional_vector(prefix + name + ".bias", rows));
      return {};
    }
    RIDGELINE_TRY(weight, loader.matrix_rows(fused, all, first, rows, c.hidden_size));
    if (loader.has(fused_bias)) {
      RIDGELINE_TRY(bias, loader.vector_part(fused_bias, all, first, rows));
    }
    return {};
  };
  RIDGELINE_TRY_STATUS(part("attn_q", 0, c.q_size(), q, q_bias));
  RIDGELINE_TRY_STATUS(part("attn_k", c.q_size(), c.kv_size(), k, k_bias));
  RIDGELINE_TRY_STATUS(part("attn_v", c.q_size() + c.kv_size(), c.value_size(), v, v_bias));
  RIDGELINE_TRY(o, loader.matrix(prefix + "attn_output.weight", c.hidden_size, c.attention_size()));
  RIDGELINE_TRY(o_bias, loader.optional_vector(prefix + "attn_output.bias", c.hidden_size));
  return {};
}

Status GatedFfnWeights::load_gated_ffn(WeightLoader& loader, const std::string& prefix,
                                       const ModelConfig& c) {
  const std::string gate_name = prefix + "ffn_gate.weight", up_name = prefix + "ffn_up.weight";
  const std::int64_t n = c.ffn_size;
  if (loader.has(gate_name)) {
    RIDGELINE_TRY(gate, loader.matrix(gate_name, n, c.hidden_size));
    RIDGELINE_TRY(up, loader.matrix(up_name, n, c.hidden_size));
  } else {
    RIDGELINE_TRY(gate, loader.matrix_rows(up_name, 2 * n, 0, n, c.hidden_size));
    RIDGELINE_TRY(up, loader.matrix_rows(up_name, 2 * n, n, n, c.hidden_size));
  }
  RIDGELINE_TRY(down, loader.matrix(prefix + "ffn_down.weight", c.hidden_size, n));
  return {};
}

Status FfnWeights::load_ffn(WeightLoader& loader, const std::string& prefix, const ModelConfig& c) {
  RIDGELINE_TRY(up, loader.matrix(prefix + "ffn_up.weight", c.ffn_size, c.hidden_size));
  RIDGELINE_TRY(up_bias, loader.optional_vector(prefix + "ffn_up.bias", c.ffn_size));
  RIDGELINE_TRY(down, loader.matrix(prefix + "ffn_down.weight", c.hidden_size, c.ffn_size));
  RIDGELINE_TRY(down_bias, loader.optional_vector(prefix + "ffn_down.bias", c.hidden_size));
  return {};
}

Result<LayerWeights> LayerWeights::load(WeightLoader& loader, const std::string& prefix,
                                        const ModelConfig& c) {
  LayerWeights w;
  RIDGELINE_TRY(w.attention_norm, loader.vector(prefix + "attn_norm.weight", c.hidden_size));
  RIDGELINE_TRY_STATUS(w.load_attention(loader, prefix, c));
  RIDGELINE_TRY(w.ffn_norm, loader.vector(prefix + "ffn_norm.weight", c.hidden_size));
  if (c.experts.count > 0 &&
      (c.experts.dense_layers == 0 || loader.has(prefix + "ffn_gate_inp.weight"))) {
    RIDGELINE_TRY(w.mixture, MixtureWeights::load(loader, prefix, c));
  } else {
    RIDGELINE_TRY_STATUS(w.load_gated_ffn(loader, prefix, c));
  }
  return w;
}

}  // namespace ridgeline
