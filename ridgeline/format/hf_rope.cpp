#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "ridgeline/format/hf_config_reader.h"

namespace ridgeline {
namespace {

using nlohmann::json;

double number_or(const json& object, const char* key, double fallback) {
  return object.contains(key) && object[key].is_number() ? object[key].get<double>() : fallback;
}

/// Llama 3.1's factors (transformers, _compute_llama3_parameters): long waves are slowed
/// down by `factor`, short ones kept, those in between interpolated.
std::vector<float> llama3_factors(const json& rope, double base, std::int64_t dims) {
  const double factor = number_or(rope, "factor", 8);
  const double low = number_or(rope, "low_freq_factor", 1);
  const double high = number_or(rope, "high_freq_factor", 4);
  const double old_context = number_or(rope, "original_max_position_embeddings", 8192);
  std::vector<float> factors;
  for (std::int64_t i = 0; i < dims / 2; ++i) {
    const double frequency =
        std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(dims));
    const double wavelength = 2 * std::numbers::pi / frequency;
    if (wavelength < old_context / high) {
      factors.push_back(1);
    } else if (wavelength > old_context / low) {
      factors.push_back(static_cast<float>(factor));
    } else {
      const double smooth = (old_context / wavelength - low) / (high - low);
      factors.push_back(static_cast<float>(1 / ((1 - smooth) / factor + smooth)));
    }
  }
  return factors;
}

Result<std::vector<float>> read_factors(const HfConfigReader& in, const json& rope, const char* key,
                                        std::int64_t dims) {
  const auto wrong = [&] {
    return fail(fmt::format("{}: '{}' of longrope is not an array of {} positive numbers",
                            in.path(), key, dims / 2));
  };
  if (!rope.contains(key) || !rope[key].is_array() ||
      rope[key].size() != static_cast<std::size_t>(dims / 2))
    return wrong();
  std::vector<float> factors;
  for (const json& value : rope[key]) {
    if (!value.is_number() || !(value.get<double>() > 0)) return wrong();
    factors.push_back(value.get<float>());
  }
  return factors;
}

Status read_longrope(HfConfigReader& in, const json& rope, std::int64_t dims) {
  RIDGELINE_TRY(in.out().rope_factors["rope_factors_long.weight"],
                read_factors(in, rope, "long_factor", dims));
  RIDGELINE_TRY(in.out().rope_factors["rope_factors_short.weight"],
                read_factors(in, rope, "short_factor", dims));
  const double context = static_cast<double>(in.integer("max_position_embeddings", 0));
  const double original =
      number_or(rope, "original_max_position_embeddings",
                static_cast<double>(in.integer("original_max_position_embeddings",
                                               static_cast<std::int64_t>(context))));
  const double ratio = context / original;
  const double attention = ratio > 1 ? std::sqrt(1 + std::log(ratio) / std::log(original)) : 1.0;
  in.set_architecture_text("rope.scaling.type", "longrope");
  in.set_integer("rope.scaling.original_context_length", static_cast<std::int64_t>(original));
  in.set_number("rope.scaling.attn_factor", number_or(rope, "attention_factor", attention));
  return {};
}

Status read_yarn(HfConfigReader& in, const json& rope) {
  const double factor = number_or(rope, "factor", 1);
  if (rope.contains("truncate") && rope["truncate"] == false && in.architecture() != "gpt-oss")
    return fail(
        fmt::format("{}: yarn with 'truncate' false is supported in gpt-oss only", in.path()));
  in.set_architecture_text("rope.scaling.type", "yarn");
  in.set_number("rope.scaling.factor", factor);
  const double context = static_cast<double>(in.integer("max_position_embeddings", 0));
  in.set_integer(
      "rope.scaling.original_context_length",
      static_cast<std::int64_t>(number_or(rope, "original_max_position_embeddings", context)));
  if (rope.contains("attention_factor") && rope["attention_factor"].is_number())
    in.set_number("rope.scaling.yarn_attn_factor", rope["attention_factor"].get<double>());
  if (rope.contains("beta_fast"))
    in.set_number("rope.scaling.yarn_beta_fast", number_or(rope, "beta_fast", 32));
  if (rope.contains("beta_slow"))
    in.set_number("rope.scaling.yarn_beta_slow", number_or(rope, "beta_slow", 1));
  // As GGUF has it for DeepSeek: a tenth of mscale_all_dim.
  if (in.architecture() == "deepseek2") {
    const double all = number_or(rope, "mscale_all_dim", 0);
    if (all != 0 && number_or(rope, "mscale", all) != all)
      return fail(fmt::format(
          "{}: yarn with an 'mscale' other than 'mscale_all_dim' is not supported", in.path()));
    if (all != 0) in.set_number("rope.scaling.yarn_log_multiplier", 0.1 * all);
  }
  return {};
}

}  // namespace

Status read_hf_rope(HfConfigReader& in) {
  HfConfig& out = in.out();
  if (out.architecture == "gpt2" || out.architecture == "bert") return {};
  // transformers 5 writes rope_parameters, for models with windows one set per kind of layer.
  json rope = in.has("rope_parameters") ? in.at("rope_parameters")
              : in.has("rope_scaling")  ? in.at("rope_scaling")
                                        : json::object();
  if (!rope.is_object()) return in.refuse("rope_parameters", "an object");
  double local_base = in.number("rope_local_base_freq", 0);
  if (rope.contains("full_attention")) {
    const json local = rope.value("sliding_attention", json::object());
    local_base = number_or(local.is_object() ? local : json::object(), "rope_theta", local_base);
    rope = rope["full_attention"].is_object() ? json(rope["full_attention"]) : json::object();
  }
  const double fallback = out.architecture == "gemma3" ? 1e6 : 1e4;
  const double base = number_or(rope, "rope_theta", in.number("rope_theta", fallback));
  in.set_number("rope.freq_base", base);
  if (out.architecture == "gemma3")
    in.set_number("rope.freq_base_swa", local_base > 0 ? local_base : 1e4);

  const std::int64_t head_dim =
      in.integer("head_dim", out.hidden_size / std::max<std::int64_t>(1, out.heads));
  const double partial =
      number_or(rope, "partial_rotary_factor", in.number("partial_rotary_factor", 1));
  if (!(partial > 0 && partial <= 1))
    return in.refuse("partial_rotary_factor", "above 0, at most 1");
  const std::int64_t dims =
      out.architecture == "deepseek2"
          ? in.integer("qk_rope_head_dim", 64)
          : static_cast<std::int64_t>(partial * static_cast<double>(head_dim));
  in.set_integer("rope.dimension_count", dims);

  json kind = rope.value("rope_type", rope.value("type", json("default")));
  const std::string type = kind.is_string() ? kind.get<std::string>() : "?";
  if (type == "default") return {};
  if (type == "linear") {
    in.set_architecture_text("rope.scaling.type", "linear");
    in.set_number("rope.scaling.factor", number_or(rope, "factor", 1));
    return {};
  }
  if (type == "llama3") {
    out.rope_factors["rope_freqs.weight"] = llama3_factors(rope, base, dims);
    return {};
  }
  if (type == "yarn") return read_yarn(in, rope);
  if (type == "longrope" || type == "su") return read_longrope(in, rope, dims);
  return fail(
      fmt::format("{}: rope_type '{}' is not supported; supported: default, linear, llama3, "
                  "yarn, longrope",
                  in.path(), type));
}

}  // namespace ridgeline
