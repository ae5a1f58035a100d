#include "ridgeline/format/hf_config_reader.h"

#include <fmt/format.h>

namespace ridgeline {

using nlohmann::json;

tl::unexpected<Error> HfConfigReader::refuse(const char* key, const char* expected) const {
  std::string value = config_.contains(key) ? config_[key].dump() : "absent";
  constexpr std::size_t kShownMax = 80;
  if (value.size() > kShownMax) value = value.substr(0, kShownMax) + "...";
  return fail(fmt::format("{}: '{}' is {}, expected {}", path_, key, value, expected));
}

void HfConfigReader::wrong(const char* key, const char* expected) {
  if (status_) status_ = refuse(key, expected);
}

std::int64_t HfConfigReader::integer(const char* key, std::int64_t fallback) {
  if (!has(key)) return fallback;
  constexpr std::int64_t kMax = std::int64_t{1} << 40;
  const json& value = config_[key];
  if (!value.is_number_integer() || value.get<double>() < 0 ||
      value.get<double>() > static_cast<double>(kMax)) {
    wrong(key, "an integer from 0 to 2^40");
    return fallback;
  }
  return value.get<std::int64_t>();
}

double HfConfigReader::number(const char* key, double fallback) {
  if (!has(key)) return fallback;
  if (config_[key].is_number()) return config_[key].get<double>();
  wrong(key, "a number");
  return fallback;
}

bool HfConfigReader::flag(const char* key, bool fallback) {
  if (!has(key)) return fallback;
  if (config_[key].is_boolean()) return config_[key].get<bool>();
  wrong(key, "true or false");
  return fallback;
}

std::string HfConfigReader::text(const char* key, const std::string& fallback) const {
  return has(key) && config_[key].is_string() ? config_[key].get<std::string>() : fallback;
}

std::int64_t HfConfigReader::required_integer(std::initializer_list<const char*> keys,
                                              std::int64_t most) {
  for (const char* key : keys) {
    if (!has(key)) continue;
    const std::int64_t value = integer(key, 0);
    if (value < 1 || value > most) wrong(key, fmt::format("1 to {}", most).c_str());
    return value;
  }
  wrong(*keys.begin(), "a number of them");
  return 1;
}

void HfConfigReader::copy_integer(const char* key, std::string_view gguf_key) {
  if (has(key)) set_integer(gguf_key, integer(key, 0));
}

void HfConfigReader::copy_number(const char* key, std::string_view gguf_key) {
  if (has(key)) set_number(gguf_key, number(key, 0));
}

void HfConfigReader::set_integer(std::string_view gguf_key, std::int64_t value) {
  out_.metadata.insert_or_assign(fmt::format("{}.{}", out_.architecture, gguf_key),
                                 GgufValue::of(value));
}

void HfConfigReader::set_number(std::string_view gguf_key, double value) {
  // GGUF has F32 there; a folder and its conversion should not differ in the last bit.
  out_.metadata.insert_or_assign(fmt::format("{}.{}", out_.architecture, gguf_key),
                                 GgufValue::of(static_cast<float>(value)));
}

void HfConfigReader::set_flag(std::string_view gguf_key, bool value) {
  out_.metadata.insert_or_assign(fmt::format("{}.{}", out_.architecture, gguf_key),
                                 GgufValue::of(value));
}

void HfConfigReader::set_text(std::string_view full_key, std::string text) {
  const std::string_view kept = out_.texts.emplace_back(std::move(text));
  out_.metadata.insert_or_assign(std::string(full_key), GgufValue::of(kept));
}

void HfConfigReader::set_architecture_text(std::string_view gguf_key, std::string text) {
  set_text(fmt::format("{}.{}", out_.architecture, gguf_key), std::move(text));
}

}  // namespace ridgeline
