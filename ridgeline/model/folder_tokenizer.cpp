#include "ridgeline/model/folder_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "ridgeline/format/json_file.h"
#include "ridgeline/text/hf_tokenizer.h"
#include "ridgeline/text/sentencepiece_model.h"
#include "ridgeline/text/tiktoken.h"

namespace ridgeline {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kVocabularyBytesMax = std::size_t{128} << 20;
constexpr std::size_t kConfigBytesMax = std::size_t{16} << 20;

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

Result<json> read_config(const fs::path& path) {
  if (!is_there(path)) return json::object();
  return read_json_object(path.string(), kConfigBytesMax);
}

/// eos_token_id, an id or several.
Result<std::vector<TokenId>> read_ends(const fs::path& folder) {
  std::vector<TokenId> ends;
  for (const char* name : {"generation_config.json", "config.json"}) {
    RIDGELINE_TRY(json config, read_config(folder / name));
    json value = config.value("eos_token_id", json());
    if (!value.is_array()) value = json::array({value});
    for (const json& id : value)
      if (id.is_number_unsigned() && id.get<std::uint64_t>() < (std::uint64_t{1} << 31))
        ends.push_back(static_cast<TokenId>(id.get<std::uint64_t>()));
    if (!ends.empty()) break;
  }
  return ends;
}

struct AddedToken {
  std::string content;
  bool special = false;
};

/// tokenizer_config.json's added_tokens_decoder, {"32000": {"content": ..., "special": ...}}.
std::map<TokenId, AddedToken> added_tokens(const json& config) {
  std::map<TokenId, AddedToken> added;
  const json list = config.value("added_tokens_decoder", json::object());
  if (!list.is_object()) return added;
  for (const auto& [key, value] : list.items()) {
    TokenId id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc{} || end != key.data() + key.size() || id < 0 || !value.is_object() ||
        !value.contains("content") || !value["content"].is_string())
      continue;
    const json special = value.value("special", json(false));
    added[id] = {value["content"].get<std::string>(), special == json(true)};
  }
  return added;
}

std::optional<bool> flag(const json& config, const char* key) {
  return config.contains(key) && config[key].is_boolean() ? std::optional(config[key].get<bool>())
                                                          : std::nullopt;
}

/// A vocabulary's tokens beyond those of the model file, and what texts begin and end with.
Status complete(VocabularyData& data, const json& config, const std::vector<TokenId>& ends,
                const std::string& path) {
  constexpr TokenId kIdMax = 1 << 24;
  const auto added = added_tokens(config);
  if (!added.empty() && added.rbegin()->first >= kIdMax)
    return fail(fmt::format("{}: added_tokens_decoder has the id {}, expected less than {}", path,
                            added.rbegin()->first, kIdMax));
  const std::size_t size = std::max(
      data.tokens.size(), added.empty() ? 0 : static_cast<std::size_t>(added.rbegin()->first) + 1);
  data.types.resize(data.tokens.size(), VocabularyData::TokenType::kNormal);
  data.tokens.resize(size);
  data.types.resize(size, VocabularyData::TokenType::kUnused);
  if (!data.scores.empty()) data.scores.resize(size, 0.0F);
  for (const auto& [id, token] : added) {
    const auto i = static_cast<std::size_t>(id);
    if (data.types[i] == VocabularyData::TokenType::kUnknown) continue;
    data.tokens[i] = token.content;
    data.types[i] = token.special ? VocabularyData::TokenType::kControl
                                  : VocabularyData::TokenType::kUserDefined;
  }
  const auto named = [&](const char* key) -> std::optional<TokenId> {
    json value = config.value(key, json());
    if (value.is_object()) value = value.value("content", json());
    if (!value.is_string()) return std::nullopt;
    const auto at = std::ranges::find(data.tokens, value.get<std::string>());
    if (at == data.tokens.end()) return std::nullopt;
    return static_cast<TokenId>(at - data.tokens.begin());
  };
  if (const auto id = named("bos_token")) data.bos = id;
  if (const auto id = named("eos_token")) data.eos = id;
  for (const TokenId id : ends)
    if (id != data.eos && static_cast<std::size_t>(id) < size) data.eot = id;
  if (const auto value = flag(config, "add_bos_token")) data.add_bos = value;
  if (const auto value = flag(config, "add_eos_token")) data.add_eos = value;
  return {};
}

Result<VocabularyData> read_model_file(const fs::path& path, const json& config,
                                       const std::vector<TokenId>& ends) {
  RIDGELINE_TRY(const std::string bytes, read_small_text(path.string(), kVocabularyBytesMax));
  // The ranks of tiktoken leave everything else out: Llama 3 is the model whose folder has them.
  Result<VocabularyData> data = looks_like_tiktoken(bytes) ? read_tiktoken(bytes, "llama-bpe", {})
                                                           : read_sentencepiece_model(bytes);
  if (!data) return fail(fmt::format("{}: {}", path.string(), data.error().message));
  RIDGELINE_TRY_STATUS(complete(*data, config, ends, path.string()));
  return data;
}

/// The files of a folder that a tokenizer is made of.
struct TokenizerFiles {
  std::vector<TokenId> ends;
  std::string whole_path, whole, config_text;  ///< tokenizer.json and tokenizer_config.json
  std::string model_path;                      ///< used where there is no tokenizer.json
  VocabularyData model;
};

Result<TokenizerFiles> read_files(const fs::path& root) {
  TokenizerFiles files;
  RIDGELINE_TRY(files.ends, read_ends(root));
  const fs::path config_path = root / "tokenizer_config.json";
  const fs::path whole = root / "tokenizer.json";
  if (is_there(whole)) {
    files.whole_path = whole.string();
    if (is_there(config_path)) {
      RIDGELINE_TRY(files.config_text, read_small_text(config_path.string(), kConfigBytesMax));
    }
    RIDGELINE_TRY(files.whole, read_small_text(files.whole_path, kVocabularyBytesMax));
    return files;
  }
  for (const char* name : {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model"}) {
    if (!is_there(root / name)) continue;
    files.model_path = (root / name).string();
    RIDGELINE_TRY(const json config, read_config(config_path));
    RIDGELINE_TRY(files.model, read_model_file(files.model_path, config, files.ends));
    return files;
  }
  return fail(
      fmt::format("{}: has no tokenizer that can be read, expected tokenizer.json or "
                  "tokenizer.model",
                  root.string()));
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> load_folder_tokenizer(const std::string& folder) {
  RIDGELINE_TRY(TokenizerFiles files, read_files(folder));
  if (files.model_path.empty())
    return load_hf_tokenizer(files.whole, files.config_text, files.whole_path,
                             std::move(files.ends));
  auto tokenizer = Tokenizer::create(std::move(files.model));
  if (!tokenizer) return fail(fmt::format("{}: {}", files.model_path, tokenizer.error().message));
  return tokenizer;
}

Result<ExportedVocabulary> export_folder_tokenizer(const std::string& folder) {
  RIDGELINE_TRY(TokenizerFiles files, read_files(folder));
  if (files.model_path.empty())
    return export_hf_tokenizer(files.whole, files.config_text, files.whole_path, files.ends);
  return ExportedVocabulary{std::move(files.model), {}};
}

}  // namespace ridgeline
