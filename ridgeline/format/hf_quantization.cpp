#include "ridgeline/format/hf_quantization.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "ridgeline/format/gguf_text.h"

// The keys are those of transformers' GPTQConfig and AwqConfig (utils/quantization_config.py)
// and of what GPTQModel (quantization/config.py) and AutoAWQ write beside them.

namespace ridgeline {
namespace {

using nlohmann::json;

constexpr std::uint64_t kGroupSizeMax = 1 << 20;

/// quantization_config's own keys.
class Keys {
 public:
  Keys(const json& values, const std::string& path) : values_(values), path_(path) {}

  /// The first of two names that is there and not null; null if neither is.
  const json* find(const char* key, const char* other = nullptr) const {
    for (const char* name : {key, other})
      if (name != nullptr && values_.contains(name) && !values_[name].is_null())
        return &values_[name];
    return nullptr;
  }
  /// In lower case; "" where it is absent or no text.
  std::string text(const char* key, const char* other = nullptr) const {
    const json* value = find(key, other);
    std::string out = value != nullptr && value->is_string() ? value->get<std::string>() : "";
    std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
    return out;
  }
  tl::unexpected<Error> refuse(const char* key, const json* value, const char* expected) const {
    constexpr std::size_t kShownMax = 80;
    std::string shown =
        value != nullptr ? value->dump(-1, ' ', false, json::error_handler_t::replace) : "absent";
    if (shown.size() > kShownMax) shown = shown.substr(0, kShownMax) + "...";
    return fail(fmt::format("{}: quantization_config has '{}' {}, expected {}", path_, key, shown,
                            expected));
  }

 private:
  const json& values_;
  const std::string& path_;
};

Status expect_four_bits(const Keys& keys) {
  const json* bits = keys.find("bits", "w_bit");
  if (bits == nullptr || !bits->is_number_integer() || *bits != 4)
    return keys.refuse("bits", bits, "4");
  return {};
}

Status read_group_size(const Keys& keys, HfQuantization& out) {
  const json* size = keys.find("group_size", "q_group_size");
  std::int64_t value = 0;
  if (size != nullptr && size->is_number_unsigned())  // beyond 2^63 it would be negative
    value = static_cast<std::int64_t>(std::min(size->get<std::uint64_t>(), kGroupSizeMax + 1));
  else if (size != nullptr && size->is_number_integer())
    value = size->get<std::int64_t>();
  if (value == -1) return {};
  if (value < 1 || value > static_cast<std::int64_t>(kGroupSizeMax))
    return keys.refuse("group_size", size, "-1 or 1 to 2^20");
  out.group_size = value;
  return {};
}

Status read_gptq(const Keys& keys, HfQuantization& out) {
  const std::string format = keys.text("checkpoint_format", "format");
  const json* marlin = keys.find("is_marlin_format");
  if (marlin != nullptr && *marlin != false)
    return keys.refuse("is_marlin_format", marlin, "false: its tensors are laid out for a GPU");
  if (const json* value = keys.find("checkpoint_format", "format");
      value != nullptr && format != "gptq" && format != "gptq_v2")
    return keys.refuse("checkpoint_format", value, "'gptq' or 'gptq_v2'");
  if (const json* value = keys.find("pack_dtype"); value != nullptr && *value != "int32")
    return keys.refuse("pack_dtype", value, "'int32'");
  out.zeros_less_one = format != "gptq_v2";

  // GPTQModel's choices by module: "-:PATTERN" leaves it alone, "+:PATTERN" or "PATTERN"
  // changes what it names.
  const json* dynamic = keys.find("dynamic");
  if (dynamic == nullptr) return {};
  if (!dynamic->is_object()) return keys.refuse("dynamic", dynamic, "an object");
  for (const auto& [pattern, changes] : dynamic->items()) {
    if (pattern.starts_with("-:")) continue;
    if (!changes.is_object() || (changes.contains("bits") && changes["bits"] != 4))
      return keys.refuse("dynamic", dynamic, "4 bits everywhere");
    out.varies = true;
  }
  return {};
}

Status read_awq(const Keys& keys, HfQuantization& out) {
  out.method = HfQuantization::Method::kAwq;
  const json* version = keys.find("version", "format");
  if (version != nullptr && keys.text("version", "format") != "gemm")
    return keys.refuse("version", version, "'gemm'");
  return {};
}

}  // namespace

std::string HfQuantization::description() const {
  const char* name = method == Method::kGptq ? "GPTQ" : "AWQ";
  if (varies) return fmt::format("{}, 4 bits in groups", name);
  if (group_size == 0) return fmt::format("{}, 4 bits by column", name);
  return fmt::format("{}, 4 bits in groups of {}", name, group_size);
}

Result<std::optional<HfQuantization>> read_hf_quantization(const json& config,
                                                           std::string_view architecture,
                                                           const std::string& path) {
  if (!config.contains("quantization_config") || config["quantization_config"].is_null())
    return std::nullopt;
  const json& values = config["quantization_config"];
  const Keys keys(values, path);
  const std::string method = values.is_object() ? keys.text("quant_method") : "";
  if (method == "mxfp4" && architecture == "gpt-oss") return std::nullopt;
  if (method != "gptq" && method != "awq")
    return fail(
        fmt::format("{}: the weights are quantized by {}; supported: F32, F16, BF16, GPTQ and "
                    "AWQ in 4 bits, and MXFP4 in gpt-oss",
                    path, gguf::quoted(method)));
  HfQuantization out;
  RIDGELINE_TRY_STATUS(method == "gptq" ? read_gptq(keys, out) : read_awq(keys, out));
  RIDGELINE_TRY_STATUS(expect_four_bits(keys));
  RIDGELINE_TRY_STATUS(read_group_size(keys, out));
  return out;
}

}  // namespace ridgeline
