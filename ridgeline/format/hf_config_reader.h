#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "ridgeline/format/hf_config.h"

namespace ridgeline {

/// Reads config.json's keys and writes GGUF's. The first wrong value is kept and comes out
/// of status(); reads after it give their fallbacks.
class HfConfigReader {
 public:
  HfConfigReader(const nlohmann::json& config, std::string path, std::string model_type,
                 HfConfig& out)
      : config_(config), path_(std::move(path)), model_type_(std::move(model_type)), out_(out) {}

  const std::string& path() const { return path_; }
  const std::string& model_type() const { return model_type_; }
  const std::string& architecture() const { return out_.architecture; }
  HfConfig& out() { return out_; }
  Status status() const { return status_; }

  /// Present and not null.
  bool has(const char* key) const { return config_.contains(key) && !config_[key].is_null(); }
  const nlohmann::json& at(const char* key) const { return config_[key]; }
  std::int64_t integer(const char* key, std::int64_t fallback);
  double number(const char* key, double fallback);
  bool flag(const char* key, bool fallback);
  std::string text(const char* key, const std::string& fallback) const;
  /// The first key that is there, from 1 to `most`.
  std::int64_t required_integer(std::initializer_list<const char*> keys, std::int64_t most);

  // GGUF's keys without "ARCHITECTURE."; nothing is written for a key that is absent.
  void copy_integer(const char* key, std::string_view gguf_key);
  void copy_number(const char* key, std::string_view gguf_key);
  void set_integer(std::string_view gguf_key, std::int64_t value);
  void set_number(std::string_view gguf_key, double value);
  void set_flag(std::string_view gguf_key, bool value);
  void set_text(std::string_view full_key, std::string text);
  void set_architecture_text(std::string_view gguf_key, std::string text);

  /// "PATH: 'KEY' is VALUE, expected EXPECTED".
  tl::unexpected<Error> refuse(const char* key, const char* expected) const;

 private:
  void wrong(const char* key, const char* expected);

  const nlohmann::json& config_;
  std::string path_, model_type_;
  HfConfig& out_;
  Status status_;
};

/// rope_theta and rope_scaling, or rope_parameters, as transformers' modeling_rope_utils.py
/// reads them.
Status read_hf_rope(HfConfigReader& in);

}  // namespace ridgeline
