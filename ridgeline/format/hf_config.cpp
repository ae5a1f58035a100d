#include "ridgeline/format/hf_config.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "ridgeline/format/gguf_text.h"
#include "ridgeline/format/hf_config_reader.h"

// The keys on the left are transformers' (configuration_NAME.py), those on the right are
// what llama.cpp's converter writes for them.

namespace ridgeline {
namespace {

using nlohmann::json;

struct Family {
  std::string_view model_type;    ///< config.json's
  std::string_view architecture;  ///< GGUF's
  std::string_view activation;    ///< the only one the architecture computes
  Status (*extras)(HfConfigReader& in);
};

Status no_extras(HfConfigReader&) { return {}; }

/// Mistral's window, where the configuration has one.
Status sliding_window(HfConfigReader& in) {
  in.copy_integer("sliding_window", "attention.sliding_window");
  return in.status();
}

Status qwen(HfConfigReader& in) {
  if (in.flag("use_sliding_window", false))
    return in.refuse("use_sliding_window", "false: windows in some layers only are not supported");
  return {};
}

Status mixtral(HfConfigReader& in) {
  in.copy_integer("num_local_experts", "expert_count");
  in.copy_integer("num_experts_per_tok", "expert_used_count");
  return sliding_window(in);
}

Status qwen_moe(HfConfigReader& in) {
  // transformers 5 writes the second name.
  in.copy_integer("num_experts", "expert_count");
  in.copy_integer("num_local_experts", "expert_count");
  in.copy_integer("num_experts_per_tok", "expert_used_count");
  in.copy_integer("moe_intermediate_size", "expert_feed_forward_length");
  in.copy_integer("shared_expert_intermediate_size", "expert_shared_feed_forward_length");
  // qwen3moe always normalises the chosen weights, qwen2moe never does.
  const bool expected = in.architecture() == "qwen3moe";
  if (in.flag("norm_topk_prob", expected) != expected)
    return in.refuse("norm_topk_prob", expected ? "true" : "false");
  if (in.integer("decoder_sparse_step", 1) != 1) return in.refuse("decoder_sparse_step", "1");
  if (in.has("mlp_only_layers") && !in.at("mlp_only_layers").empty())
    return in.refuse("mlp_only_layers", "none");
  return qwen(in);
}

Status granite(HfConfigReader& in) {
  in.copy_number("attention_multiplier", "attention.scale");
  in.copy_number("embedding_multiplier", "embedding_scale");
  in.copy_number("residual_multiplier", "residual_scale");
  in.copy_number("logits_scaling", "logit_scale");
  return in.status();
}

/// transformers' layer_types against the pattern that the architecture has by itself:
/// every `period`-th layer sees everything, the others a window.
Status expect_layer_pattern(HfConfigReader& in, std::size_t period) {
  if (!in.has("layer_types")) return {};
  const json& types = in.at("layer_types");
  if (!types.is_array()) return in.refuse("layer_types", "an array");
  for (std::size_t i = 0; i < types.size(); ++i) {
    const char* expected = (i + 1) % period == 0 ? "full_attention" : "sliding_attention";
    if (types[i] != expected)
      return in.refuse("layer_types", fmt::format("'{}' at layer {}", expected, i).c_str());
  }
  return {};
}

Status gemma2(HfConfigReader& in) {
  in.copy_number("attn_logit_softcapping", "attn_logit_softcapping");
  in.copy_number("final_logit_softcapping", "final_logit_softcapping");
  in.copy_integer("sliding_window", "attention.sliding_window");
  const std::int64_t head_dim = in.integer("head_dim", 256);
  const std::int64_t scalar = in.integer("query_pre_attn_scalar", head_dim);
  // GGUF has no key for it: the 27B model, by its 46 layers, divides by hidden_size / heads.
  const std::int64_t known =
      in.integer("num_hidden_layers", 0) == 46
          ? in.integer("hidden_size", 0) /
                std::max<std::int64_t>(1, in.integer("num_attention_heads", 1))
          : head_dim;
  if (scalar != known) return in.refuse("query_pre_attn_scalar", fmt::format("{}", known).c_str());
  RIDGELINE_TRY_STATUS(expect_layer_pattern(in, 2));
  return in.status();
}

Status gemma3(HfConfigReader& in) {
  in.copy_number("final_logit_softcapping", "final_logit_softcapping");
  if (in.number("attn_logit_softcapping", 0) != 0)
    return in.refuse("attn_logit_softcapping", "none");
  in.copy_integer("sliding_window", "attention.sliding_window");
  const std::int64_t head_dim = in.integer("head_dim", 256);
  const std::int64_t known =
      in.integer("num_hidden_layers", 0) == 62
          ? in.integer("hidden_size", 0) /
                std::max<std::int64_t>(1, in.integer("num_attention_heads", 1))
          : head_dim;
  if (in.integer("query_pre_attn_scalar", head_dim) != known)
    return in.refuse("query_pre_attn_scalar", fmt::format("{}", known).c_str());
  if (in.flag("use_bidirectional_attention", false))
    return in.refuse("use_bidirectional_attention", "false");
  RIDGELINE_TRY_STATUS(expect_layer_pattern(in, 6));
  return in.status();
}

Status gpt_oss(HfConfigReader& in) {
  in.copy_integer("num_local_experts", "expert_count");
  in.copy_integer("num_experts_per_tok", "expert_used_count");
  in.copy_integer("intermediate_size", "expert_feed_forward_length");
  in.copy_integer("sliding_window", "attention.sliding_window");
  RIDGELINE_TRY_STATUS(expect_layer_pattern(in, 2));
  return in.status();
}

Status deepseek(HfConfigReader& in) {
  HfConfig& out = in.out();
  const std::int64_t kv_lora = in.integer("kv_lora_rank", 512);
  const std::int64_t rope = in.integer("qk_rope_head_dim", 64);
  out.qk_nope_head_dim = in.integer("qk_nope_head_dim", 128);
  out.v_head_dim = in.integer("v_head_dim", 128);
  in.copy_integer("q_lora_rank", "attention.q_lora_rank");
  in.set_integer("attention.kv_lora_rank", kv_lora);
  in.set_integer("attention.head_count_kv", 1);
  in.set_integer("attention.key_length", kv_lora + rope);
  in.set_integer("attention.value_length", kv_lora);
  in.set_integer("attention.key_length_mla", out.qk_nope_head_dim + rope);
  in.set_integer("attention.value_length_mla", out.v_head_dim);
  in.set_integer("rope.dimension_count", rope);
  if (!in.flag("rope_interleave", true)) return in.refuse("rope_interleave", "true");

  const std::int64_t experts = in.integer("n_routed_experts", 0);
  in.set_integer("leading_dense_block_count",
                 in.integer("first_k_dense_replace", experts > 0 ? 0 : out.layers));
  if (in.integer("moe_layer_freq", 1) != 1) return in.refuse("moe_layer_freq", "1");
  in.set_integer("expert_count", experts);
  in.set_integer("expert_shared_count", in.integer("n_shared_experts", 0));
  in.copy_integer("num_experts_per_tok", "expert_used_count");
  in.copy_integer("moe_intermediate_size", "expert_feed_forward_length");
  in.copy_number("routed_scaling_factor", "expert_weights_scale");
  const bool v3 = in.model_type() == "deepseek_v3";
  in.set_flag("expert_weights_norm", in.flag("norm_topk_prob", v3));
  in.set_integer("expert_gating_func", v3 ? 2 : 1);  // sigmoid, softmax
  if (v3 || in.text("topk_method", "greedy") == "group_limited_greedy") {
    in.copy_integer("n_group", "expert_group_count");
    in.copy_integer("topk_group", "expert_group_used_count");
  }
  return in.status();
}

Status phi3(HfConfigReader& in) { return sliding_window(in); }

Status bert(HfConfigReader& in) {
  in.set_flag("attention.causal", false);
  in.set_integer("token_type_count", in.integer("type_vocab_size", 2));
  const std::string kind = in.text("position_embedding_type", "absolute");
  if (kind != "absolute") return in.refuse("position_embedding_type", "'absolute'");
  return in.status();
}

constexpr std::array kFamilies{
    Family{"llama", "llama", "silu", no_extras},
    Family{"mistral", "llama", "silu", sliding_window},
    Family{"mixtral", "llama", "silu", mixtral},
    Family{"qwen2", "qwen2", "silu", qwen},
    Family{"qwen3", "qwen3", "silu", qwen},
    Family{"qwen2_moe", "qwen2moe", "silu", qwen_moe},
    Family{"qwen3_moe", "qwen3moe", "silu", qwen_moe},
    Family{"granite", "granite", "silu", granite},
    Family{"olmo2", "olmo2", "silu", no_extras},
    Family{"phi3", "phi3", "silu", phi3},
    Family{"gemma", "gemma", "gelu_pytorch_tanh", no_extras},
    Family{"gemma2", "gemma2", "gelu_pytorch_tanh", gemma2},
    Family{"gemma3_text", "gemma3", "gelu_pytorch_tanh", gemma3},
    Family{"gemma3", "gemma3", "gelu_pytorch_tanh", gemma3},
    Family{"gpt_oss", "gpt-oss", "silu", gpt_oss},
    Family{"deepseek_v2", "deepseek2", "silu", deepseek},
    Family{"deepseek_v3", "deepseek2", "silu", deepseek},
    Family{"gpt2", "gpt2", "gelu_new", no_extras},
    Family{"starcoder2", "starcoder2", "gelu_pytorch_tanh", sliding_window},
    Family{"bert", "bert", "gelu", bert},
};

Status check_activation(const HfConfigReader& in, const Family& family) {
  for (const char* key : {"hidden_activation", "hidden_act", "activation_function"}) {
    if (!in.has(key)) continue;
    std::string found = in.text(key, "");
    if (found == "swish") found = "silu";
    // Gemma's first configurations said gelu and meant this.
    if (found == "gelu" && family.activation == "gelu_pytorch_tanh" &&
        family.architecture.starts_with("gemma"))
      return {};
    if (found == "gelu_new" && family.activation == "gelu_pytorch_tanh") return {};
    if (found != family.activation)
      return in.refuse(key, fmt::format("'{}'", family.activation).c_str());
    return {};
  }
  return {};
}

void read_common(HfConfigReader& in) {
  HfConfig& out = in.out();
  out.layers = in.required_integer({"num_hidden_layers", "n_layer"}, 4096);
  out.hidden_size = in.required_integer({"hidden_size", "n_embd"}, 1 << 20);
  out.heads = in.required_integer({"num_attention_heads", "n_head"}, 4096);
  out.kv_heads = in.integer("num_key_value_heads", out.heads);
  in.set_integer("block_count", out.layers);
  in.set_integer("embedding_length", out.hidden_size);
  in.set_integer("attention.head_count", out.heads);
  in.set_integer("attention.head_count_kv", out.kv_heads);
  in.set_integer("context_length",
                 in.required_integer({"max_position_embeddings", "n_positions"}, 1 << 30));
  const std::int64_t ffn = in.integer("intermediate_size", in.integer("n_inner", 0));
  in.set_integer("feed_forward_length", ffn > 0 ? ffn : 4 * out.hidden_size);
  if (in.has("head_dim") && in.architecture() != "granite") {
    in.copy_integer("head_dim", "attention.key_length");
    in.copy_integer("head_dim", "attention.value_length");
  }
  in.copy_number("rms_norm_eps", "attention.layer_norm_rms_epsilon");
  for (const char* key : {"layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"})
    if (in.has(key)) in.copy_number(key, "attention.layer_norm_epsilon");
  out.tied = in.flag("tie_word_embeddings", false);
  out.must_be_untied = in.has("tie_word_embeddings") && !out.tied;
}

}  // namespace

std::string supported_hf_models() {
  std::string names;
  for (const Family& f : kFamilies)
    names += (names.empty() ? "" : ", ") + std::string(f.model_type);
  return names;
}

Result<HfConfig> read_hf_config(const json& config, const std::string& path) {
  // Models that also see images keep the language model's numbers apart.
  const bool nested = config.contains("text_config") && config["text_config"].is_object();
  const json& model = nested ? config["text_config"] : config;
  const json type = model.value("model_type", json());
  if (!type.is_string())
    return fail(
        fmt::format("{}: has no 'model_type', expected one of: {}", path, supported_hf_models()));
  const Family* family = nullptr;
  for (const Family& f : kFamilies)
    if (f.model_type == type.get<std::string>()) family = &f;
  if (family == nullptr)
    return fail(fmt::format("{}: model_type {} is not supported; supported: {}", path,
                            gguf::quoted(type.get<std::string>()), supported_hf_models()));

  HfConfig out;
  out.architecture = family->architecture;
  HfConfigReader in(model, path, std::string(family->model_type), out);
  in.set_text("general.architecture", out.architecture);
  in.set_text("general.name", config.value("_name_or_path", std::string()));
  read_common(in);
  RIDGELINE_TRY_STATUS(in.status());
  // Of models that also see images it lies beside text_config, or in it.
  RIDGELINE_TRY(
      out.quantization,
      read_hf_quantization(in.has("quantization_config") ? model : config, out.architecture, path));
  RIDGELINE_TRY_STATUS(check_activation(in, *family));
  RIDGELINE_TRY_STATUS(family->extras(in));
  RIDGELINE_TRY_STATUS(read_hf_rope(in));
  RIDGELINE_TRY_STATUS(in.status());
  return out;
}

}  // namespace ridgeline
