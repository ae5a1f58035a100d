#include "ridgeline/model/model_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "ridgeline/model/metadata_reader.h"

namespace ridgeline {
namespace {

struct Architecture {
  std::string_view name;
  std::optional<RopeStyle> rope_style;  ///< none: positions are learned
  Norm norm = Norm::kRms;
  bool is_encoder = false;
  /// Where a file with windows does not say which layers have them: all but each of these;
  /// 0: all.
  int window_period = 0;
  int default_window = 0;  ///< where the file does not say
};

// GGUF's converter permutes Q and K of "llama" so that pairs are neighbours.
constexpr std::array kArchitectures{
    Architecture{"llama", RopeStyle::kInterleaved},
    Architecture{"qwen2", RopeStyle::kHalf},
    Architecture{"qwen3", RopeStyle::kHalf},
    Architecture{"qwen2moe", RopeStyle::kHalf},
    Architecture{"qwen3moe", RopeStyle::kHalf},
    Architecture{"deepseek2", RopeStyle::kInterleaved},
    Architecture{"gpt-oss", RopeStyle::kHalf, Norm::kRms, false, 2, 128},
    Architecture{"phi2", RopeStyle::kHalf, Norm::kLayer},
    Architecture{"phi3", RopeStyle::kHalf},
    Architecture{"olmo2", RopeStyle::kHalf, Norm::kRms, false, 4},
    Architecture{"granite", RopeStyle::kInterleaved},
    Architecture{"gpt2", std::nullopt, Norm::kLayer},
    Architecture{"starcoder2", RopeStyle::kHalf, Norm::kLayer},
    Architecture{"gemma", RopeStyle::kHalf},
    Architecture{"gemma2", RopeStyle::kHalf, Norm::kRms, false, 2, 4096},
    Architecture{"gemma3", RopeStyle::kHalf, Norm::kRms, false, 6},
    Architecture{"bert", std::nullopt, Norm::kLayer, true},
    Architecture{"nomic-bert", RopeStyle::kHalf, Norm::kLayer, true},
};

/// How many heads there are, and their sizes.
Status read_heads(const MetadataReader& reader, ModelConfig& config) {
  RIDGELINE_TRY(config.num_heads, reader.integer("attention.head_count", 1, 4096));
  if (config.architecture == "deepseek2") {
    // Its heads share one, which is cached.
    RIDGELINE_TRY(config.latent, read_latent_config(reader));
    config.num_kv_heads = 1;
    config.head_dim = config.latent.rank + config.latent.rope_dim;
    config.value_dim = config.latent.rank;
    config.latent_kv = true;
    return {};
  }
  RIDGELINE_TRY(config.num_kv_heads,
                reader.integer("attention.head_count_kv", 1, config.num_heads, config.num_heads));
  if (config.num_heads % config.num_kv_heads != 0)
    return fail(fmt::format("{}: {} attention heads cannot share {} KV heads evenly",
                            reader.file().path(), config.num_heads, config.num_kv_heads));
  std::optional<std::int64_t> head_dim;
  if (config.hidden_size % config.num_heads == 0) head_dim = config.hidden_size / config.num_heads;
  RIDGELINE_TRY(config.head_dim, reader.integer("attention.key_length", 2, 1024, head_dim));
  RIDGELINE_TRY(const int value_length,
                reader.integer("attention.value_length", 2, 1024, config.head_dim));
  if (value_length != config.head_dim || config.head_dim % 2 != 0)
    return fail(
        fmt::format("{}: heads have keys of {} and values of {} dimensions, expected one "
                    "even number for both",
                    reader.file().path(), config.head_dim, value_length));
  return {};
}

/// Layers that see only a window of positions.
Status read_windows(const MetadataReader& reader, const Architecture& architecture,
                    ModelConfig& config) {
  const Checkpoint& file = reader.file();
  RIDGELINE_TRY(const int window, reader.integer("attention.sliding_window", 0, 1 << 30,
                                                 architecture.default_window));
  // Where all layers are alike, a window that nothing lies behind is none.
  const bool is_wide = architecture.window_period == 0 && window >= config.context_length;
  if (window == 0 || is_wide) return {};
  const std::string key = reader.key("attention.sliding_window_pattern");
  const auto layers = static_cast<std::size_t>(config.layers);
  config.layer_windows.assign(layers, 0);
  // Either says of each layer whether it has the window, or after how many there is one without.
  if (const auto flags = file.booleans(key); flags && *flags) {
    if ((*flags)->size() < layers)
      return fail(
          fmt::format("{}: metadata '{}' has {} entries, expected one for each of {} layers",
                      file.path(), key, (*flags)->size(), layers));
    for (std::size_t i = 0; i < layers; ++i)
      if ((**flags)[i]) config.layer_windows[i] = window;
    return {};
  }
  RIDGELINE_TRY(const int period, reader.integer("attention.sliding_window_pattern", 0, 4096,
                                                 architecture.window_period));
  for (std::size_t i = 0; i < layers; ++i)
    if (period == 0 || static_cast<int>(i) % period < period - 1) config.layer_windows[i] = window;
  return {};
}

/// What only some architectures have.
Status read_particulars(const MetadataReader& reader, ModelConfig& config) {
  const std::string_view name = config.architecture;
  if (name == "granite") {
    RIDGELINE_TRY(config.embedding_scale, reader.positive("embedding_scale", 1.0F));
    RIDGELINE_TRY(config.residual_scale, reader.positive("residual_scale", 1.0F));
    RIDGELINE_TRY(const float divisor, reader.positive("logit_scale", 1.0F));
    config.logit_scale = 1.0F / divisor;
    if (reader.has("attention.scale")) {
      RIDGELINE_TRY(config.attention_scale, reader.positive("attention.scale", 1.0F));
    }
  }
  if (name == "gemma" || name == "gemma2" || name == "gemma3")
    config.embedding_scale = std::sqrt(static_cast<float>(config.hidden_size));
  if (name == "gemma2") {
    RIDGELINE_TRY(config.attention_softcap, reader.positive("attn_logit_softcapping", 50.0F));
    RIDGELINE_TRY(config.logit_softcap, reader.positive("final_logit_softcapping", 30.0F));
  }
  if (name == "gemma3" && reader.has("final_logit_softcapping")) {
    RIDGELINE_TRY(config.logit_softcap, reader.positive("final_logit_softcapping", 30.0F));
  }
  // The file has a tenth of the paper's factor, whose own is a tenth of the logarithm.
  if (name == "deepseek2") {
    const double mscale = config.rope.is_yarn && config.rope.factor > 1.0F
                              ? 1.0 + static_cast<double>(config.rope.yarn.log_multiplier) *
                                          std::log(static_cast<double>(config.rope.factor))
                              : 1.0;
    config.attention_scale =
        static_cast<float>(mscale * mscale / std::sqrt(config.latent.query_dim()));
  }
  if (name == "gpt-oss") config.rope.yarn.truncate = false;
  // The scale of the two largest ones is not in their files; those are known by their depth.
  if ((name == "gemma2" && config.layers == 46) || (name == "gemma3" && config.layers == 62))
    config.attention_scale =
        1.0F / std::sqrt(static_cast<float>(config.hidden_size / config.num_heads));
  return {};
}

/// Gemma 3 and OLMo 3 do not stretch the positions of layers with a window.
Status read_local_rope(const MetadataReader& reader, ModelConfig& config) {
  const bool is_gemma3 = config.architecture == "gemma3";
  if ((!is_gemma3 && config.architecture != "olmo2") || config.layer_windows.empty()) return {};
  config.local_rope.style = config.rope.style;
  config.local_rope.dims = config.rope.dims;
  RIDGELINE_TRY(config.local_rope.base,
                reader.positive("rope.freq_base_swa", is_gemma3 ? 10000.0F : config.rope.base));
  return {};
}

Result<Pooling> read_pooling(const MetadataReader& reader) {
  constexpr int kRank = 4;
  RIDGELINE_TRY(const int type, reader.integer("pooling_type", 0, kRank, 0));
  if (type == kRank)
    return fail(fmt::format("{}: a model that ranks texts (metadata '{}' is {}) is not supported",
                            reader.file().path(), reader.key("pooling_type"), type));
  return static_cast<Pooling>(type);
}

Result<int> read_vocab_size(const Checkpoint& file) {
  const TensorView* embedding = file.tensor("token_embd.weight");
  if (embedding == nullptr)
    return fail(fmt::format("{}: tensor 'token_embd.weight' is missing", file.path()));
  if (embedding->rows() < 1 || embedding->rows() > (1 << 24))
    return fail(fmt::format("{}: tensor 'token_embd.weight' has {} rows, expected 1 to {}",
                            file.path(), embedding->rows(), 1 << 24));
  return static_cast<int>(embedding->rows());
}

}  // namespace

KvCacheShape ModelConfig::kv_shape(DType dtype, int blocks) const {
  KvCacheShape shape{dtype, layers, num_kv_heads, head_dim, blocks, v_dim(), latent_kv};
  shape.layer_windows = layer_windows;
  return shape;
}

std::int64_t ModelConfig::kv_elements(std::int64_t tokens) const {
  std::int64_t elements = 0;
  for (int layer = 0; layer < layers; ++layer)
    elements +=
        (window(layer) > 0 ? std::min(tokens, window(layer)) : tokens) * (kv_size() + value_size());
  return elements;
}

bool is_supported_architecture(std::string_view wanted) {
  for (const Architecture& a : kArchitectures)
    if (a.name == wanted) return true;
  return false;
}

std::string supported_architectures() {
  std::string names;
  for (const Architecture& a : kArchitectures)
    names += (names.empty() ? "" : ", ") + std::string(a.name);
  return names;
}

Result<ModelConfig> read_model_config(const Checkpoint& file) {
  ModelConfig config;
  RIDGELINE_TRY(const auto architecture, file.string("general.architecture"));
  if (!architecture)
    return fail(
        fmt::format("{}: metadata 'general.architecture' is missing: not a model", file.path()));
  config.architecture = *architecture;
  if (!is_supported_architecture(config.architecture))
    return fail(fmt::format("{}: architecture '{}' is not supported; supported: {}", file.path(),
                            config.architecture, supported_architectures()));
  const Architecture& known =
      *std::ranges::find(kArchitectures, config.architecture, &Architecture::name);
  config.is_encoder = known.is_encoder;
  config.norm = known.norm;
  RIDGELINE_TRY(const auto title, file.string("general.name"));
  config.name = title.value_or("");

  constexpr std::int64_t kMaxWidth = 1 << 20;
  const MetadataReader reader(file, config.architecture);
  RIDGELINE_TRY(config.layers, reader.integer("block_count", 1, 4096));
  RIDGELINE_TRY(config.hidden_size, reader.integer("embedding_length", 1, kMaxWidth));
  RIDGELINE_TRY(config.ffn_size, reader.integer("feed_forward_length", 1, kMaxWidth));
  RIDGELINE_TRY_STATUS(read_heads(reader, config));
  RIDGELINE_TRY(config.context_length, reader.integer("context_length", 1, 1 << 30));
  if (known.norm == Norm::kRms) {
    RIDGELINE_TRY(config.rms_norm_eps, reader.positive("attention.layer_norm_rms_epsilon", 1e-5F));
  } else {
    RIDGELINE_TRY(config.layer_norm_eps, reader.positive("attention.layer_norm_epsilon", 1e-5F));
  }
  RIDGELINE_TRY(config.vocab_size, read_vocab_size(file));
  RIDGELINE_TRY(config.experts, read_expert_config(reader, config.ffn_size));
  if (known.rope_style) {
    RIDGELINE_TRY(config.rope,
                  read_rope(reader, *known.rope_style,
                            config.latent_kv ? config.latent.rope_dim : config.head_dim,
                            config.context_length));
  }
  RIDGELINE_TRY_STATUS(read_windows(reader, known, config));
  RIDGELINE_TRY_STATUS(read_local_rope(reader, config));
  RIDGELINE_TRY_STATUS(read_particulars(reader, config));
  RIDGELINE_TRY(config.pooling, read_pooling(reader));
  return config;
}

}  // namespace ridgeline
