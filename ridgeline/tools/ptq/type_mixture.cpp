#include "ridgeline/tools/ptq/type_mixture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

namespace ridgeline::ptq {
namespace {

using enum Mixture;

constexpr std::array kMixtures{
    MixtureInfo{kF32, "F32", DType::kF32, 0},
    MixtureInfo{kF16, "F16", DType::kF16, 1},
    MixtureInfo{kBF16, "BF16", DType::kBF16, 32},
    MixtureInfo{kQ8_0, "Q8_0", DType::kQ8_0, 7},
    MixtureInfo{kQ4_0, "Q4_0", DType::kQ4_0, 2},
    MixtureInfo{kQ4_1, "Q4_1", DType::kQ4_1, 3},
    MixtureInfo{kQ5_0, "Q5_0", DType::kQ5_0, 8},
    MixtureInfo{kQ5_1, "Q5_1", DType::kQ5_1, 9},
    MixtureInfo{kQ2_K, "Q2_K", DType::kQ2_K, 10},
    MixtureInfo{kQ3_K_S, "Q3_K_S", DType::kQ3_K, 11},
    MixtureInfo{kQ3_K_M, "Q3_K_M", DType::kQ3_K, 12},
    MixtureInfo{kQ3_K_L, "Q3_K_L", DType::kQ3_K, 13},
    MixtureInfo{kQ4_K_S, "Q4_K_S", DType::kQ4_K, 14},
    MixtureInfo{kQ4_K_M, "Q4_K_M", DType::kQ4_K, 15},
    MixtureInfo{kQ5_K_S, "Q5_K_S", DType::kQ5_K, 16},
    MixtureInfo{kQ5_K_M, "Q5_K_M", DType::kQ5_K, 17},
    MixtureInfo{kQ6_K, "Q6_K", DType::kQ6_K, 18},
    MixtureInfo{kIQ4_NL, "IQ4_NL", DType::kIQ4_NL, 25},
    MixtureInfo{kIQ4_XS, "IQ4_XS", DType::kIQ4_XS, 30},
};

constexpr std::array kAliases{
    std::pair<std::string_view, std::string_view>{"Q3_K", "Q3_K_M"},
    std::pair<std::string_view, std::string_view>{"Q4_K", "Q4_K_M"},
    std::pair<std::string_view, std::string_view>{"Q5_K", "Q5_K_M"},
};

/// Parts of names of matrices that are small and matter much, in models of any kind.
constexpr std::array<std::string_view, 33> kKeptParts{
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
    "attn_rel_b.weight",
    ".position_embd",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
};

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

bool has(std::string_view name, std::string_view part) {
  return name.find(part) != std::string_view::npos;
}

bool is_embedding(std::string_view name) {
  return name == "token_embd.weight" || name == "per_layer_token_embd.weight";
}
bool holds_values(std::string_view name) {
  return has(name, "attn_qkv.weight") || has(name, "attn_kv_b.weight") ||
         has(name, "attn_v.weight");
}

/// The layers at both ends, and every third between them.
bool gets_more_bits(std::int64_t layer, std::int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

Result<std::int64_t> first_integer(const Checkpoint& model, const std::string& key) {
  const auto it = model.metadata().find(key);
  if (it == model.metadata().end()) return 0;
  if (!it->second.is_array()) {
    RIDGELINE_TRY(const auto value, model.integer(key));
    return value.value_or(0);
  }
  RIDGELINE_TRY(const auto values, model.integers(key));
  return values && !values->empty() ? values->front() : 0;
}

/// Dimensions as ggml counts them: outer ones of size 1 are none.
std::size_t dimensions(const TensorView& tensor) {
  const auto& shape = tensor.shape;
  const auto outermost = std::ranges::find_if(shape, [](std::int64_t n) { return n != 1; });
  return static_cast<std::size_t>(shape.end() - outermost);
}

}  // namespace

Result<MixtureInfo> find_mixture(std::string_view name) {
  std::string wanted = upper(name);
  for (const auto& [alias, mixture] : kAliases)
    if (wanted == alias) wanted = mixture;
  std::string names;
  for (const MixtureInfo& m : kMixtures) {
    if (m.name == wanted) return m;
    names += (names.empty() ? "" : ", ") + std::string(m.name);
  }
  return fail(
      fmt::format("'{}' is no type that files are quantized to; expected one of: {}", name, names));
}

bool may_be_rounded(const TensorView& tensor) {
  const std::string_view name = tensor.name;
  if (dimensions(tensor) < 2 || !name.ends_with("weight")) return false;
  if (name == "position_embd.weight" || name == "token_types.weight") return false;
  return std::ranges::none_of(kKeptParts,
                              [name](std::string_view part) { return has(name, part); });
}

Result<MixtureRules> MixtureRules::make(const Checkpoint& model, const MixtureInfo& mixture,
                                        bool importance) {
  MixtureRules rules(mixture, importance);
  for (const TensorView& t : model.tensors()) {
    if (t.name == "output.weight") rules.is_tied_ = false;
    if (holds_values(t.name)) ++rules.values_;
  }
  RIDGELINE_TRY(const auto architecture, model.string("general.architecture"));
  const std::string prefix = std::string(architecture.value_or("")) + ".";
  RIDGELINE_TRY(rules.layers_, first_integer(model, prefix + "block_count"));
  RIDGELINE_TRY(rules.experts_, first_integer(model, prefix + "expert_count"));
  RIDGELINE_TRY(const std::int64_t heads, first_integer(model, prefix + "attention.head_count"));
  RIDGELINE_TRY(std::int64_t kv_heads, first_integer(model, prefix + "attention.head_count_kv"));
  if (!model.has(prefix + "attention.head_count_kv")) kv_heads = heads;
  rules.heads_per_kv_head_ = kv_heads > 0 ? heads / kv_heads : 0;
  rules.is_llama_70b_ =
      rules.layers_ == 80 && ((prefix == "llama." && heads != kv_heads) || prefix == "qwen2.");
  return rules;
}

DType MixtureRules::of_output(const TensorView& tensor) const {
  const DType type = mixture_.type;
  if (tensor.cols() % info(type).block_elements != 0) return DType::kQ8_0;
  return type == DType::kQ8_0 ? type : DType::kQ6_K;
}

DType MixtureRules::of_value(DType type) {
  const std::int64_t seen = values_seen_++;
  const bool many_share = heads_per_kv_head_ >= 4;  // small, and used by many heads
  switch (mixture_.mixture) {
    case kQ2_K:
      type = many_share ? DType::kQ4_K : DType::kQ3_K;
      break;
    case kQ3_K_M:
      type = seen < 2 ? DType::kQ5_K : DType::kQ4_K;
      break;
    case kQ3_K_L:
      type = DType::kQ5_K;
      break;
    case kIQ4_NL:
    case kIQ4_XS:
      if (many_share) type = DType::kQ5_K;
      break;
    case kQ4_K_S:
      if (seen < 4) type = DType::kQ5_K;
      break;
    case kQ4_K_M:
    case kQ5_K_M:
      if (gets_more_bits(seen, values_)) type = DType::kQ6_K;
      break;
    default:
      break;
  }
  if (is_llama_70b_ && (type == DType::kQ3_K || type == DType::kQ4_K)) type = DType::kQ5_K;
  return experts_ == 8 ? DType::kQ8_0 : type;
}

DType MixtureRules::of_ffn_down(DType type, int layer) {
  // In a mixture of experts a layer may have several of them.
  const std::int64_t i = experts_ > 1 ? layer : ffn_downs_seen_;
  ++ffn_downs_seen_;
  const bool is_early = i < layers_ / 8;
  switch (mixture_.mixture) {
    case kQ2_K:
      return DType::kQ3_K;
    case kQ3_K_M:
      return i < layers_ / 16 ? DType::kQ5_K : DType::kQ4_K;
    case kQ3_K_L:
      return DType::kQ5_K;
    case kQ4_K_S:
      return is_early ? DType::kQ5_K : type;
    case kQ4_K_M:
    case kQ5_K_M:
      return gets_more_bits(i, layers_) ? DType::kQ6_K : type;
    case kIQ4_NL:
    case kIQ4_XS:
      return is_early && !importance_ ? DType::kQ5_K : type;
    // A few inputs of the first layers are so large that weighted scales serve them alone.
    case kQ4_0:
      return is_early && importance_ ? DType::kQ4_1 : type;
    case kQ5_0:
      return is_early && importance_ ? DType::kQ5_1 : type;
    default:
      return type;
  }
}

DType MixtureRules::of_attention_output(DType type) const {
  if (experts_ == 8) {
    switch (mixture_.mixture) {
      case kQ2_K:
      case kQ3_K_S:
      case kQ3_K_M:
      case kQ4_K_S:
      case kQ4_K_M:
      case kIQ4_NL:
      case kIQ4_XS:
        return DType::kQ5_K;
      default:
        return type;
    }
  }
  switch (mixture_.mixture) {
    case kQ2_K:
      return DType::kQ3_K;
    case kQ3_K_M:
      return DType::kQ4_K;
    case kQ3_K_L:
      return DType::kQ5_K;
    default:
      return type;
  }
}

DType MixtureRules::choose(const TensorView& tensor, int layer) {
  const std::string_view name = tensor.name;
  const DType type = mixture_.type;
  if (info(type).block_elements == 1) return type;
  if (name == "output.weight" || (is_tied_ && is_embedding(name))) return of_output(tensor);
  if (is_embedding(name)) return type;
  if (holds_values(name)) return of_value(type);
  if (has(name, "attn_k.weight")) return experts_ == 8 ? DType::kQ8_0 : type;
  if (has(name, "attn_q.weight")) return type;
  if (has(name, "attn_output.weight")) return of_attention_output(type);
  if (has(name, "ffn_down")) return of_ffn_down(type, layer);
  return type;
}

DType fitting_type(DType type, std::int64_t cols) {
  const auto fits = [cols](DType t) { return cols % info(t).block_elements == 0; };
  if (fits(type)) return type;
  DType smaller = type;  // of blocks of 32
  switch (type) {
    case DType::kQ2_K:
    case DType::kQ3_K:
      smaller = DType::kQ4_0;
      break;
    case DType::kQ4_K:
      smaller = DType::kQ5_0;
      break;
    case DType::kQ5_K:
      smaller = DType::kQ5_1;
      break;
    case DType::kQ6_K:
      smaller = DType::kQ8_0;
      break;
    case DType::kIQ4_XS:
      smaller = DType::kIQ4_NL;
      break;
    default:
      break;
  }
  return fits(smaller) ? smaller : DType::kF16;
}

int layer_of(std::string_view tensor) {
  if (!tensor.starts_with("blk.")) return -1;
  const std::string_view digits = tensor.substr(4);
  int layer = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), layer);
  const bool is_whole = error == std::errc{} && end != digits.data() + digits.size() && *end == '.';
  return is_whole && layer >= 0 ? layer : -1;
}

}  // namespace ridgeline::ptq
