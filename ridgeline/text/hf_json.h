#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ridgeline/base/result.h"

// How the parts of a tokenizer.json are read. For .cpp files only: the JSON library is
// heavy. Errors say which part and which field, not which file: the caller does.
namespace ridgeline {

/// A tokenizer.json, parsed. Its two long lists do not go into the tree, whose nodes
/// cost more time and memory than all that is done with them.
struct HfTokenizerJson {
  struct Entry {
    std::string text;
    std::int64_t id;  ///< its place in the list for Unigram
    double score;     ///< of Unigram
  };
  struct Merge {
    std::uint32_t left_bytes, right_bytes;
  };
  nlohmann::json root;  ///< model.vocab and model.merges are null in it
  std::vector<Entry> vocab;
  std::string merge_texts;  ///< left, right, left, right, ...
  std::vector<Merge> merges;
};

/// Errors: no JSON, nested more deeply than anything real, a vocabulary or merges of
/// another form than the library writes.
Result<HfTokenizerJson> parse_hf_tokenizer_json(std::string_view text);
/// The same bounds for tokenizer_config.json.
Result<nlohmann::json> parse_hf_json(std::string_view text);

/// One object of the tree, with the name by which errors call it.
class HfPart {
 public:
  /// `value` outlives this.
  HfPart(const nlohmann::json& value, std::string name) : value_(&value), name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  const nlohmann::json& value() const { return *value_; }
  /// nullptr if it is absent, null, or this is no object.
  const nlohmann::json* find(const char* key) const;
  HfPart child(const char* key) const;  ///< null if it is absent

  /// Errors: absent without a fallback, or of another type.
  Result<std::string> string(const char* key) const;
  Result<std::string> string(const char* key, std::string fallback) const;
  Result<char32_t> character(const char* key, char32_t fallback) const;
  Result<bool> boolean(const char* key, bool fallback) const;
  Result<std::int64_t> integer(const char* key, std::int64_t fallback) const;  ///< not negative
  Result<std::vector<HfPart>> list(const char* key) const;
  /// {"String": ...} or {"Regex": ...}
  struct Pattern {
    std::string text;
    bool is_regex;
  };
  Result<Pattern> pattern(const char* key) const;

  /// "normalizer (type "X") is not supported; supported: ..."
  tl::unexpected<Error> unsupported_type(std::string_view type, std::string_view supported) const;

 private:
  tl::unexpected<Error> wrong(const char* key, std::string_view expected) const;

  const nlohmann::json* value_;
  std::string name_;
};

}  // namespace ridgeline
