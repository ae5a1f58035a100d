#include "ridgeline/model/model_config.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>

namespace ridgeline {
namespace {

struct Architecture {
  std::string_view name;
  RopeStyle rope_style;
};

// GGUF's converter permutes Q and K of "llama" so that pairs are neighbours.
constexpr std::array kArchitectures{
    Architecture{"llama", RopeStyle::kInterleaved},
    Architecture{"qwen2", RopeStyle::kHalf},
    Architecture{"qwen3", RopeStyle::kHalf},
};

/// Typed, bounded reads of "<architecture>.<key>".
class Reader {
 public:
  Reader(const Checkpoint& file, std::string architecture)
      : file_(file), architecture_(std::move(architecture)) {}

  Result<int> integer(std::string_view key, std::int64_t low, std::int64_t high,
                      std::optional<std::int64_t> fallback = {}) const {
    const std::string full = architecture_ + "." + std::string(key);
    RIDGELINE_TRY(auto value, file_.integer(full));
    if (!value) value = fallback;
    if (!value) return fail(fmt::format("{}: metadata '{}' is missing", file_.path(), full));
    if (*value < low || *value > high)
      return fail(fmt::format("{}: metadata '{}' is {}, expected {} to {}", file_.path(), full,
                              *value, low, high));
    return static_cast<int>(*value);
  }

  Result<float> positive(std::string_view key, float fallback) const {
    const std::string full = architecture_ + "." + std::string(key);
    RIDGELINE_TRY(const auto value, file_.number(full));
    const double v = value.value_or(static_cast<double>(fallback));
    if (!(v > 0.0) || !(v <= static_cast<double>(std::numeric_limits<float>::max())))
      return fail(fmt::format("{}: metadata '{}' is {}, expected a positive number", file_.path(),
                              full, v));
    return static_cast<float>(v);
  }

 private:
  const Checkpoint& file_;
  std::string architecture_;
};

Status read_rope(const Checkpoint& file, const Reader& reader, ModelConfig& config) {
  RopeConfig& rope = config.rope;
  RIDGELINE_TRY(rope.dims,
                reader.integer("rope.dimension_count", 2, config.head_dim, config.head_dim));
  if (rope.dims % 2 != 0)
    return fail(fmt::format("{}: metadata '{}.rope.dimension_count' is {}, expected an even number",
                            file.path(), config.architecture, rope.dims));
  RIDGELINE_TRY(rope.base, reader.positive("rope.freq_base", 10000.0F));

  RIDGELINE_TRY(const auto scaling, file.string(config.architecture + ".rope.scaling.type"));
  const std::string_view type = scaling.value_or("none");
  if (type == "linear") {
    RIDGELINE_TRY(rope.linear_factor, reader.positive("rope.scaling.factor", 1.0F));
  } else if (type != "none") {
    return fail(
        fmt::format("{}: rope scaling '{}' is not supported; supported: none, linear, and "
                    "Llama 3's factors (tensor rope_freqs.weight)",
                    file.path(), type));
  } else {
    // An older key with the same meaning as linear scaling.
    RIDGELINE_TRY(rope.linear_factor, reader.positive("rope.scale_linear", 1.0F));
  }

  const TensorView* factors = file.tensor("rope_freqs.weight");
  if (factors == nullptr) return {};
  if (factors->dtype != DType::kF32 || factors->elements() != rope.dims / 2)
    return fail(
        fmt::format("{}: tensor 'rope_freqs.weight' has {} elements of {}, expected {} of F32",
                    file.path(), factors->elements(), name(factors->dtype), rope.dims / 2));
  const auto* values = reinterpret_cast<const float*>(factors->data);
  rope.frequency_factors.assign(values, values + factors->elements());
  for (float f : rope.frequency_factors)
    if (!(f > 0.0F))
      return fail(fmt::format("{}: tensor 'rope_freqs.weight' holds {}, expected positive factors",
                              file.path(), f));
  return {};
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

std::vector<float> RopeConfig::inverse_frequencies() const {
  std::vector<float> frequencies(static_cast<std::size_t>(dims / 2));
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(dims);
    double f = std::pow(static_cast<double>(base), exponent) / static_cast<double>(linear_factor);
    if (!frequency_factors.empty()) f /= static_cast<double>(frequency_factors[i]);
    frequencies[i] = static_cast<float>(f);
  }
  return frequencies;
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
  for (const Architecture& a : kArchitectures)
    if (a.name == config.architecture) config.rope.style = a.rope_style;
  RIDGELINE_TRY(const auto title, file.string("general.name"));
  config.name = title.value_or("");

  constexpr std::int64_t kMaxWidth = 1 << 20;
  const Reader reader(file, config.architecture);
  RIDGELINE_TRY(config.layers, reader.integer("block_count", 1, 4096));
  RIDGELINE_TRY(config.hidden_size, reader.integer("embedding_length", 1, kMaxWidth));
  RIDGELINE_TRY(config.ffn_size, reader.integer("feed_forward_length", 1, kMaxWidth));
  RIDGELINE_TRY(config.num_heads, reader.integer("attention.head_count", 1, 4096));
  RIDGELINE_TRY(config.num_kv_heads,
                reader.integer("attention.head_count_kv", 1, config.num_heads, config.num_heads));
  if (config.num_heads % config.num_kv_heads != 0)
    return fail(fmt::format("{}: {} attention heads cannot share {} KV heads evenly", file.path(),
                            config.num_heads, config.num_kv_heads));
  std::optional<std::int64_t> head_dim;
  if (config.hidden_size % config.num_heads == 0) head_dim = config.hidden_size / config.num_heads;
  RIDGELINE_TRY(config.head_dim, reader.integer("attention.key_length", 2, 1024, head_dim));
  RIDGELINE_TRY(const int value_length,
                reader.integer("attention.value_length", 2, 1024, config.head_dim));
  if (value_length != config.head_dim || config.head_dim % 2 != 0)
    return fail(
        fmt::format("{}: heads have keys of {} and values of {} dimensions, expected one "
                    "even number for both",
                    file.path(), config.head_dim, value_length));
  RIDGELINE_TRY(config.context_length, reader.integer("context_length", 1, 1 << 30));
  RIDGELINE_TRY(config.rms_norm_eps, reader.positive("attention.layer_norm_rms_epsilon", 1e-5F));
  RIDGELINE_TRY(config.vocab_size, read_vocab_size(file));
  RIDGELINE_TRY(const int experts, reader.integer("expert_count", 0, 1 << 16, 0));
  if (experts > 0)
    return fail(
        fmt::format("{}: a mixture of {} experts is not supported yet", file.path(), experts));
  RIDGELINE_TRY_STATUS(read_rope(file, reader, config));
  return config;
}

}  // namespace ridgeline
