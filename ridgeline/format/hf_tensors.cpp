#include "ridgeline/format/hf_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include "ridgeline/format/gguf_text.h"
#include "ridgeline/format/hf_convert.h"
#include "ridgeline/format/hf_packed4.h"

namespace ridgeline {
namespace {

struct Rename {
  std::string_view from, to;
};

// Outside of the layers; ".weight" and ".bias" stay.
constexpr std::array kGlobalNames{
    Rename{"embed_tokens", "token_embd"},
    Rename{"norm", "output_norm"},
    Rename{"lm_head", "output"},
    // GPT-2
    Rename{"wte", "token_embd"},
    Rename{"wpe", "position_embd"},
    Rename{"ln_f", "output_norm"},
    // BERT
    Rename{"embeddings.word_embeddings", "token_embd"},
    Rename{"embeddings.position_embeddings", "position_embd"},
    Rename{"embeddings.token_type_embeddings", "token_types"},
    Rename{"embeddings.LayerNorm", "token_embd_norm"},
};

constexpr std::array kLayerNames{
    Rename{"input_layernorm", "attn_norm"},
    Rename{"self_attn.q_proj", "attn_q"},
    Rename{"self_attn.k_proj", "attn_k"},
    Rename{"self_attn.v_proj", "attn_v"},
    Rename{"self_attn.o_proj", "attn_output"},
    Rename{"self_attn.q_norm", "attn_q_norm"},
    Rename{"self_attn.k_norm", "attn_k_norm"},
    Rename{"self_attn.qkv_proj", "attn_qkv"},
    Rename{"pre_feedforward_layernorm", "ffn_norm"},
    Rename{"post_feedforward_layernorm", "post_ffw_norm"},
    Rename{"mlp.gate_proj", "ffn_gate"},
    Rename{"mlp.up_proj", "ffn_up"},
    Rename{"mlp.down_proj", "ffn_down"},
    Rename{"mlp.gate_up_proj", "ffn_up"},
    // experts
    Rename{"block_sparse_moe.gate", "ffn_gate_inp"},
    Rename{"mlp.gate", "ffn_gate_inp"},
    Rename{"mlp.router", "ffn_gate_inp"},
    Rename{"mlp.shared_expert.gate_proj", "ffn_gate_shexp"},
    Rename{"mlp.shared_expert.up_proj", "ffn_up_shexp"},
    Rename{"mlp.shared_expert.down_proj", "ffn_down_shexp"},
    Rename{"mlp.shared_expert_gate", "ffn_gate_inp_shexp"},
    Rename{"mlp.shared_experts.gate_proj", "ffn_gate_shexp"},
    Rename{"mlp.shared_experts.up_proj", "ffn_up_shexp"},
    Rename{"mlp.shared_experts.down_proj", "ffn_down_shexp"},
    // multi-head latent attention
    Rename{"self_attn.q_a_proj", "attn_q_a"},
    Rename{"self_attn.q_a_layernorm", "attn_q_a_norm"},
    Rename{"self_attn.q_b_proj", "attn_q_b"},
    Rename{"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"},
    Rename{"self_attn.kv_a_layernorm", "attn_kv_a_norm"},
    // GPT-2, StarCoder2
    Rename{"ln_1", "attn_norm"},
    Rename{"ln_2", "ffn_norm"},
    Rename{"attn.c_attn", "attn_qkv"},
    Rename{"attn.c_proj", "attn_output"},
    Rename{"mlp.c_fc", "ffn_up"},
    Rename{"mlp.c_proj", "ffn_down"},
    // BERT
    Rename{"attention.self.query", "attn_q"},
    Rename{"attention.self.key", "attn_k"},
    Rename{"attention.self.value", "attn_v"},
    Rename{"attention.output.dense", "attn_output"},
    Rename{"attention.output.LayerNorm", "attn_output_norm"},
    Rename{"intermediate.dense", "ffn_up"},
    Rename{"output.dense", "ffn_down"},
    Rename{"output.LayerNorm", "layer_output_norm"},
};

/// One expert's matrix: "mlp.experts.7.w1" or "...gate_proj".
constexpr std::array kExpertNames{
    Rename{"w1", "ffn_gate"},        Rename{"w2", "ffn_down"},    Rename{"w3", "ffn_up"},
    Rename{"gate_proj", "ffn_gate"}, Rename{"up_proj", "ffn_up"}, Rename{"down_proj", "ffn_down"},
};

template <std::size_t N>
std::optional<std::string_view> renamed(const std::array<Rename, N>& names, std::string_view from) {
  for (const Rename& r : names)
    if (r.from == from) return r.to;
  return std::nullopt;
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// Splits ".weight", ".bias" and the like off.
std::pair<std::string_view, std::string_view> split_at_dot(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {name, ""};
  return {name.substr(0, dot), name.substr(dot)};
}

bool is_packed4(const StoredTensor& t) { return t.name.ends_with(".qweight"); }

/// "12.rest": takes the number and the point.
std::optional<std::int64_t> take_index(std::string_view& text) {
  std::int64_t index = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (error != std::errc{} || end == text.data() + text.size() || *end != '.') return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  return index;
}

/// Buffers, and parts of a model that text generation has no use for.
bool is_ignored(std::string_view name, const HfConfig& config) {
  for (const char* part : {"vision_tower.", "vision_model.", "multi_modal_projector.", "visual."})
    if (name.find(part) != std::string_view::npos) return true;
  if (name.ends_with("rotary_emb.inv_freq")) return true;
  if (config.architecture == "gpt2")
    return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
  if (config.architecture == "bert")
    return name.ends_with("position_ids") || name.starts_with("pooler.") ||
           name.starts_with("cls.");
  return false;
}

class Mapper {
 public:
  Mapper(std::span<const StoredTensor> stored, const HfConfig& config, const std::string& path)
      : stored_(stored), config_(config), path_(path) {
    for (const StoredTensor& t : stored) by_name_[t.name] = &t;
  }

  Result<std::vector<TensorView>> map() {
    for (const StoredTensor& t : stored_) RIDGELINE_TRY_STATUS(map_one(t));
    return std::move(out_);
  }

 private:
  bool is(std::string_view architecture) const { return config_.architecture == architecture; }
  bool is_gemma() const { return config_.architecture.starts_with("gemma"); }

  tl::unexpected<Error> unknown(const StoredTensor& t) const {
    return fail(fmt::format("{}: tensor {} is not part of {} as it is known here", path_,
                            gguf::quoted(t.name), config_.architecture));
  }
  tl::unexpected<Error> misshapen(const StoredTensor& t, const std::string& expected) const {
    return fail(fmt::format("{}: tensor {} has shape [{}], expected {}", path_,
                            gguf::quoted(t.name), fmt::join(t.shape, ", "), expected));
  }

  void add(TensorView view, std::string name) {
    view.name = std::move(name);
    out_.push_back(std::move(view));
  }

  Status map_one(const StoredTensor& t) {
    std::string_view name = t.name;
    // The language model of one that sees, GPT-2's and BERT's with a head, and the rest.
    if (!take_prefix(name, "model.language_model.")) {
      if (take_prefix(name, "language_model."))
        take_prefix(name, "model.");
      else if (!take_prefix(name, "transformer.") && !take_prefix(name, "bert."))
        take_prefix(name, "model.");
    }
    if (is_ignored(name, config_) || belongs_to_packed4(t)) return {};
    if (take_prefix(name, "layers.") || take_prefix(name, "h.") ||
        take_prefix(name, "encoder.layer.")) {
      const auto layer = take_index(name);
      if (!layer) return unknown(t);
      // DeepSeek V3 appends layers for predicting several tokens at once.
      if (*layer >= config_.layers && is("deepseek2")) return {};
      if (*layer >= config_.layers)
        return fail(fmt::format("{}: tensor {} belongs to layer {} of {}", path_,
                                gguf::quoted(t.name), *layer, config_.layers));
      return map_in_layer(t, name, fmt::format("blk.{}.", *layer));
    }
    return map_global(t, name);
  }

  /// Splits ".weight" or ".bias" off, under BERT's older names too; a quantized weight is one.
  static std::pair<std::string_view, std::string_view> split_suffix(std::string_view name) {
    auto [stem, suffix] = split_at_dot(name);
    if (suffix == ".gamma" || suffix == ".qweight") suffix = ".weight";
    if (suffix == ".beta") suffix = ".bias";
    return {stem, suffix};
  }

  const StoredTensor* find(const std::string& name) const {
    const auto it = by_name_.find(name);
    return it == by_name_.end() ? nullptr : it->second;
  }

  Result<TensorView> read(const StoredTensor& t) {
    if (!is_packed4(t)) return as_stored(t, path_);
    if (!config_.quantization)
      return fail(
          fmt::format("{}: tensor {} is quantized, but config.json has no "
                      "quantization_config that says how",
                      path_, gguf::quoted(t.name)));
    const std::string stem(split_at_dot(t.name).first);
    const Packed4Tensors tensors{&t, find(stem + ".qzeros"), find(stem + ".scales"),
                                 find(stem + ".g_idx")};
    for (const auto& [part, name] :
         {std::pair{tensors.qzeros, ".qzeros"}, std::pair{tensors.scales, ".scales"}})
      if (part == nullptr)
        return fail(fmt::format("{}: tensor {} is missing", path_, gguf::quoted(stem + name)));
    return packed4(tensors, *config_.quantization, orders_, path_);
  }
  /// Each of a token's experts would need its inputs in an order of its own.
  Status expect_inputs_in_order(const StoredTensor& t, const TensorView& view) const {
    if (!view.input_order) return {};
    return fail(
        fmt::format("{}: tensor {} has its inputs in an order of its own (g_idx, "
                    "desc_act), which is not supported for experts",
                    path_, gguf::quoted(t.name)));
  }
  /// Zeros, scales and order go with the matrix. Some quantizers give every matrix a bias,
  /// of zeros where the model has none.
  bool belongs_to_packed4(const StoredTensor& t) const {
    const auto [stem, suffix] = split_at_dot(t.name);
    if (find(std::string(stem) + ".qweight") == nullptr) return false;
    if (suffix == ".bias")
      return std::ranges::all_of(t.data, [](std::byte b) { return b == std::byte{0}; });
    return suffix == ".qzeros" || suffix == ".scales" || suffix == ".g_idx";
  }

  Status map_global(const StoredTensor& t, std::string_view name) {
    const auto [stem, suffix] = split_suffix(name);
    if (stem == "lm_head" && config_.tied) return {};
    const auto to = renamed(kGlobalNames, stem);
    if (!to || (suffix != ".weight" && suffix != ".bias")) return unknown(t);
    if (is_packed4(t) && *to != "output")
      return fail(fmt::format("{}: tensor {} is quantized; expected F32, F16 or BF16", path_,
                              gguf::quoted(t.name)));
    RIDGELINE_TRY(TensorView view, read(t));
    if (is_gemma() && stem == "norm") view = as_f32(std::move(view), 1.0F);
    if (*to == "position_embd" || *to == "token_types") view = as_f32(std::move(view));
    add(std::move(view), std::string(*to) + std::string(suffix));
    return {};
  }

  Status map_in_layer(const StoredTensor& t, std::string_view name, const std::string& block) {
    if (name == "self_attn.sinks") {
      RIDGELINE_TRY(TensorView view, as_stored(t, path_));
      add(std::move(view), block + "attn_sinks.weight");
      return {};
    }
    if (name == "mlp.gate.e_score_correction_bias") {
      RIDGELINE_TRY(TensorView view, as_stored(t, path_));
      add(std::move(view), block + "exp_probs_b.bias");
      return {};
    }
    if (name == "self_attn.kv_b_proj.weight") return map_latent(t, block);
    if (name == "self_attn.kv_b_proj.qweight")
      return fail(
          fmt::format("{}: tensor {} is quantized; it is taken apart by heads and "
                      "expected in F32, F16 or BF16",
                      path_, gguf::quoted(t.name)));
    std::string_view expert = name;
    if (take_prefix(expert, "mlp.experts.") || take_prefix(expert, "block_sparse_moe.experts."))
      return map_expert(t, expert, block);

    const auto [stem, suffix] = split_suffix(name);
    if (suffix != ".weight" && suffix != ".bias") return unknown(t);
    auto to = renamed(kLayerNames, stem);
    if (stem == "post_attention_layernorm")
      to = is("gemma2") || is("gemma3") || is("olmo2") || is("gpt-oss") ? "post_attention_norm"
                                                                        : "ffn_norm";
    if (!to) return unknown(t);
    RIDGELINE_TRY(TensorView view, read(t));
    if (to->ends_with("_shexp")) RIDGELINE_TRY_STATUS(expect_inputs_in_order(t, view));
    if (is_gemma() && stem.ends_with("norm")) view = as_f32(std::move(view), 1.0F);
    // Rounding the router's products would change which experts are chosen.
    if (to->starts_with("ffn_gate_inp")) view = as_f32(std::move(view));
    if (is("gpt2") && stem.find(".c_") != std::string_view::npos && view.shape.size() == 2 &&
        !is_packed4(t))  // which has its rows as we do
      view = transposed(std::move(view));
    if ((is("llama") || is("granite")) && (*to == "attn_q" || *to == "attn_k")) {
      RIDGELINE_TRY(view, pair_neighbours(t, std::move(view),
                                          *to == "attn_q" ? config_.heads : config_.kv_heads));
    }
    add(std::move(view), block + std::string(*to) + std::string(suffix));
    return {};
  }

  /// GGUF's converter orders the rows of a head of Llama so that the two dimensions that
  /// rotate together, i and i + d/2, are neighbours.
  Result<TensorView> pair_neighbours(const StoredTensor& t, TensorView view,
                                     std::int64_t heads) const {
    const bool is_vector = view.shape.size() == 1;
    if (is_vector) view = reshaped(std::move(view), {view.elements(), 1});
    const std::int64_t rows = view.rows();
    if (heads < 1 || rows % (2 * heads) != 0)
      return misshapen(t, fmt::format("rows for {} heads of an even number of dimensions", heads));
    const std::int64_t dim = rows / heads;
    const std::vector<std::int64_t> shape = view.shape;
    TensorView out = pick_rows(std::move(view), shape, [dim](std::int64_t row) {
      const std::int64_t d = row % dim;
      return row - d + d % 2 * (dim / 2) + d / 2;
    });
    return is_vector ? reshaped(std::move(out), {rows}) : out;
  }

  /// kv_b_proj [heads x (nope + v)][latent] as attn_k_b [heads][latent][nope] and attn_v_b
  /// [heads][v][latent].
  Status map_latent(const StoredTensor& t, const std::string& block) {
    const std::int64_t nope = config_.qk_nope_head_dim, v = config_.v_head_dim;
    const std::int64_t heads = config_.heads, both = nope + v;
    if (t.shape.size() != 2 || t.shape[0] != heads * both)
      return misshapen(t, fmt::format("[{}, latent]", heads * both));
    RIDGELINE_TRY(const TensorView all, as_stored(t, path_));
    const std::int64_t latent = t.shape[1];
    add(transposed(pick_rows(all, {heads, nope, latent},
                             [nope, both](std::int64_t r) { return r / nope * both + r % nope; })),
        block + "attn_k_b.weight");
    add(pick_rows(all, {heads, v, latent},
                  [v, nope, both](std::int64_t r) { return r / v * both + nope + r % v; }),
        block + "attn_v_b.weight");
    return {};
  }

  Status map_expert(const StoredTensor& t, std::string_view name, const std::string& block) {
    if (const auto index = take_index(name)) {
      const auto [stem, suffix] = split_suffix(name);
      const auto to = renamed(kExpertNames, stem);
      if (!to || suffix != ".weight") return unknown(t);
      RIDGELINE_TRY(TensorView view, read(t));
      RIDGELINE_TRY_STATUS(expect_inputs_in_order(t, view));
      add(std::move(view), fmt::format("{}{}.{}.weight", block, *to, *index));
      return {};
    }
    if (is("gpt-oss")) return map_gpt_oss_expert(t, name, block);
    // Stacked: [experts][2 ffn][hidden], gate above up, and [experts][hidden][ffn].
    if (t.shape.size() != 3) return unknown(t);
    RIDGELINE_TRY(TensorView view, as_stored(t, path_));
    if (name == "down_proj") {
      add(std::move(view), block + "ffn_down_exps.weight");
      return {};
    }
    if (name != "gate_up_proj" || t.shape[1] % 2 != 0) return unknown(t);
    const std::int64_t experts = t.shape[0], ffn = t.shape[1] / 2, hidden = t.shape[2];
    for (const std::int64_t part : {0, 1})
      add(pick_rows(view, {experts, ffn, hidden},
                    [ffn, part](std::int64_t r) { return (r / ffn * 2 + part) * ffn + r % ffn; }),
          block + (part == 0 ? "ffn_gate_exps.weight" : "ffn_up_exps.weight"));
    return {};
  }

  /// Gate and up alternate; MXFP4 or, transposed, 16 bits.
  Status map_gpt_oss_expert(const StoredTensor& t, std::string_view name,
                            const std::string& block) {
    const std::string gate = block + "ffn_gate_exps", up = block + "ffn_up_exps",
                      down = block + "ffn_down_exps";
    if (name.ends_with("_scales")) return {};  // with the blocks
    if (name.ends_with("_blocks")) {
      const std::string scales_name = t.name.substr(0, t.name.size() - 6) + "scales";
      const auto scales = by_name_.find(scales_name);
      if (scales == by_name_.end())
        return fail(fmt::format("{}: tensor '{}' is missing", path_, scales_name));
      if (name == "down_proj_blocks") {
        RIDGELINE_TRY(TensorView view, mxfp4(t, *scales->second, 0, 1, path_));
        add(std::move(view), down + ".weight");
        return {};
      }
      RIDGELINE_TRY(TensorView first, mxfp4(t, *scales->second, 0, 2, path_));
      RIDGELINE_TRY(TensorView second, mxfp4(t, *scales->second, 1, 2, path_));
      add(std::move(first), gate + ".weight");
      add(std::move(second), up + ".weight");
      return {};
    }
    RIDGELINE_TRY(TensorView view, as_stored(t, path_));
    if (name == "down_proj_bias" && view.shape.size() == 2) {
      add(std::move(view), down + ".bias");
    } else if (name == "gate_up_proj_bias" && view.shape.size() == 2) {
      const std::int64_t experts = view.shape[0], both = view.shape[1];
      const TensorView column = reshaped(std::move(view), {experts * both, 1});
      for (const std::int64_t part : {0, 1})
        add(reshaped(pick_rows(column, {experts * both / 2, 1},
                               [part](std::int64_t r) { return 2 * r + part; }),
                     {experts, both / 2}),
            (part == 0 ? gate : up) + ".bias");
    } else if (name == "down_proj" && view.shape.size() == 3) {
      add(transposed(std::move(view)), down + ".weight");
    } else if (name == "gate_up_proj" && view.shape.size() == 3) {
      add(transposed(view, 0, 2), gate + ".weight");
      add(transposed(view, 1, 2), up + ".weight");
    } else {
      return unknown(t);
    }
    return {};
  }

  std::span<const StoredTensor> stored_;
  const HfConfig& config_;
  const std::string& path_;
  std::map<std::string_view, const StoredTensor*> by_name_;
  InputOrders orders_;
  std::vector<TensorView> out_;
};

}  // namespace

Result<std::vector<TensorView>> map_hf_tensors(std::span<const StoredTensor> stored,
                                               const HfConfig& config, const std::string& path) {
  RIDGELINE_TRY(std::vector<TensorView> tensors, Mapper(stored, config, path).map());
  std::map<std::string_view, int> names;
  for (const TensorView& t : tensors)
    if (names[t.name]++ > 0)
      return fail(fmt::format("{}: several of its tensors are '{}'", path, t.name));
  if (config.must_be_untied && !names.contains("output.weight") &&
      !config.architecture.starts_with("bert"))
    return fail(
        fmt::format("{}: tensor 'lm_head.weight' is missing, and config.json says "
                    "'tie_word_embeddings': false",
                    path));
  return tensors;
}

}  // namespace ridgeline
