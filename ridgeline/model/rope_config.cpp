#include "ridgeline/model/rope_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "ridgeline/quant/block_format.h"

namespace ridgeline {
namespace {

/// [pairs] positive numbers; empty if there is no such tensor.
Result<std::vector<float>> read_factors(const Checkpoint& file, std::string_view tensor_name,
                                        int pairs) {
  const TensorView* tensor = file.tensor(tensor_name);
  if (tensor == nullptr) return std::vector<float>{};
  if (tensor->dtype != DType::kF32 || tensor->elements() != pairs)
    return fail(fmt::format("{}: tensor '{}' has {} elements of {}, expected {} of F32",
                            file.path(), tensor_name, tensor->elements(), name(tensor->dtype),
                            pairs));
  std::vector<float> values(static_cast<std::size_t>(pairs));
  std::vector<std::byte> scratch;
  decode(tensor->dtype, tensor->read_rows(0, 1, scratch).data(), pairs, values.data());
  for (float f : values)
    if (!(f > 0.0F))
      return fail(fmt::format("{}: tensor '{}' holds {}, expected positive factors", file.path(),
                              tensor_name, f));
  return values;
}

/// Attention's temperature in a context stretched `factor` times (YaRN, equation 22).
double yarn_magnitude(double factor, double multiplier) {
  return factor > 1.0 ? 0.1 * multiplier * std::log(factor) + 1.0 : 1.0;
}

Status read_yarn(const MetadataReader& reader, RopeConfig& rope) {
  rope.is_yarn = true;
  RIDGELINE_TRY(rope.yarn.beta_fast, reader.positive("rope.scaling.yarn_beta_fast", 32.0F));
  RIDGELINE_TRY(rope.yarn.beta_slow, reader.positive("rope.scaling.yarn_beta_slow", 1.0F));
  RIDGELINE_TRY(const float extrapolation, reader.positive("rope.scaling.yarn_ext_factor", 1.0F));
  if (extrapolation != 1.0F)
    return fail(fmt::format("{}: metadata '{}' is {}, expected 1: other mixtures are not supported",
                            reader.file().path(), reader.key("rope.scaling.yarn_ext_factor"),
                            extrapolation));

  const auto factor = static_cast<double>(rope.factor);
  rope.magnitude = static_cast<float>(yarn_magnitude(factor, 1.0));
  if (reader.has("rope.scaling.yarn_log_multiplier")) {
    RIDGELINE_TRY(const auto log_multiplier,
                  reader.file().number(reader.key("rope.scaling.yarn_log_multiplier")));
    rope.yarn.log_multiplier = static_cast<float>(*log_multiplier);
    // DeepSeek-V2 moves the temperature to the scale of its scores.
    const bool in_scores = reader.architecture() == "deepseek2";
    rope.magnitude = in_scores ? 1.0F
                               : static_cast<float>(yarn_magnitude(factor, 1.0) /
                                                    yarn_magnitude(factor, *log_multiplier));
  }
  if (reader.has("rope.scaling.yarn_attn_factor")) {
    RIDGELINE_TRY(rope.magnitude, reader.positive("rope.scaling.yarn_attn_factor", 1.0F));
  }
  return {};
}

Status read_scaling(const MetadataReader& reader, RopeConfig& rope) {
  const Checkpoint& file = reader.file();
  RIDGELINE_TRY(const auto scaling, file.string(reader.key("rope.scaling.type")));
  // Files from before the type was written mean linear scaling, under this key or an older one.
  const std::string_view type = scaling.value_or("linear");
  if (type != "none" && type != "linear" && type != "yarn" && type != "longrope")
    return fail(
        fmt::format("{}: rope scaling '{}' is not supported; supported: none, linear, yarn, "
                    "longrope, and Llama 3's factors (tensor rope_freqs.weight)",
                    file.path(), type));
  if (type == "linear" || type == "yarn") {
    const bool old = !reader.has("rope.scaling.factor");
    RIDGELINE_TRY(rope.factor,
                  reader.positive(old ? "rope.scale_linear" : "rope.scaling.factor", 1.0F));
  }
  if (type == "yarn") RIDGELINE_TRY_STATUS(read_yarn(reader, rope));
  RIDGELINE_TRY(const float magnitude, reader.positive("rope.scaling.attn_factor", 1.0F));
  rope.magnitude *= magnitude;

  RIDGELINE_TRY(rope.frequency_factors, read_factors(file, "rope_freqs.weight", rope.dims / 2));
  RIDGELINE_TRY(rope.long_factors, read_factors(file, "rope_factors_long.weight", rope.dims / 2));
  RIDGELINE_TRY(rope.short_factors, read_factors(file, "rope_factors_short.weight", rope.dims / 2));
  if (rope.long_factors.empty() != rope.short_factors.empty() ||
      (type == "longrope" && rope.long_factors.empty()))
    return fail(
        fmt::format("{}: tensor 'rope_factors_{}.weight' is missing: long-rope scaling "
                    "needs the long and the short factors",
                    file.path(), rope.long_factors.empty() ? "long" : "short"));
  return {};
}

}  // namespace

Result<RopeConfig> read_rope(const MetadataReader& reader, RopeStyle style, int head_dim,
                             std::int64_t context_length) {
  RopeConfig rope;
  rope.style = style;
  RIDGELINE_TRY(rope.dims, reader.integer("rope.dimension_count", 2, head_dim, head_dim));
  if (rope.dims % 2 != 0)
    return fail(fmt::format("{}: metadata '{}' is {}, expected an even number",
                            reader.file().path(), reader.key("rope.dimension_count"), rope.dims));
  RIDGELINE_TRY(rope.base, reader.positive("rope.freq_base", 10000.0F));
  RIDGELINE_TRY(rope.original_context,
                reader.integer("rope.scaling.original_context_length", 1, 1 << 30, context_length));
  RIDGELINE_TRY_STATUS(read_scaling(reader, rope));
  return rope;
}

std::vector<float> RopeConfig::inverse_frequencies(std::int64_t context) const {
  const std::vector<float>& factors = !frequency_factors.empty()   ? frequency_factors
                                      : context > original_context ? long_factors
                                                                   : short_factors;
  // The dimension whose pair turns `turns` times in the original context.
  const auto dimension = [&](float turns) {
    return static_cast<double>(dims) *
           std::log(static_cast<double>(original_context) /
                    (static_cast<double>(turns) * 2 * std::numbers::pi)) /
           (2 * std::log(static_cast<double>(base)));
  };
  double low = 0, high = 0;
  if (is_yarn) {
    low = dimension(yarn.beta_fast);
    high = dimension(yarn.beta_slow);
    if (yarn.truncate) low = std::floor(low), high = std::ceil(high);
    low = std::max(low, 0.0);
    high = std::min(high, static_cast<double>(dims - 1));
    if (low == high) high += 0.001;  // a step
  }

  std::vector<float> frequencies(static_cast<std::size_t>(dims / 2));
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const auto pair = static_cast<double>(i);
    double f = std::pow(static_cast<double>(base), -2.0 * pair / static_cast<double>(dims));
    if (!factors.empty()) f /= static_cast<double>(factors[i]);
    const double interpolated = is_yarn ? std::clamp((pair - low) / (high - low), 0.0, 1.0) : 1.0;
    frequencies[i] =
        static_cast<float>(f * (1 - interpolated) + f / static_cast<double>(factor) * interpolated);
  }
  return frequencies;
}

}  // namespace ridgeline
