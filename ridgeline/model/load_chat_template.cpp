#include "ridgeline/model/load_chat_template.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "ridgeline/format/json_file.h"

namespace ridgeline {
namespace {

constexpr const char* kToolUse = "tool_use";
constexpr std::size_t kTemplateBytesMax = jinja::kMaxSourceBytes;
/// tokenizer_config.json holds all added tokens, too.
constexpr std::size_t kConfigBytesMax = std::size_t{64} << 20;

/// "chat_template": a text, or a list of objects with name and template.
Result<std::optional<std::string>> template_of_config(const std::string& path,
                                                      std::string_view name) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  RIDGELINE_TRY(const nlohmann::json config, read_json_object(path, kConfigBytesMax));
  const auto found = config.find("chat_template");
  if (found == config.end() || found->is_null()) return std::nullopt;
  const std::string_view wanted = name.empty() ? "default" : name;
  if (found->is_string())
    return wanted == "default" ? std::optional(found->get<std::string>()) : std::nullopt;
  if (!found->is_array())
    return fail(fmt::format("{}: chat_template: expected a text or a list", path));
  for (const nlohmann::json& entry : *found) {
    const bool whole = entry.is_object() && entry.contains("name") && entry["name"].is_string() &&
                       entry.contains("template") && entry["template"].is_string();
    if (!whole)
      return fail(fmt::format("{}: chat_template: expected objects with name and template", path));
    if (entry["name"] == wanted) return std::optional(entry["template"].get<std::string>());
  }
  return std::nullopt;
}

Result<std::optional<std::string>> template_of_folder(const std::string& folder,
                                                      std::string_view name) {
  namespace fs = std::filesystem;
  const fs::path file = name.empty() ? fs::path(folder) / "chat_template.jinja"
                                     : fs::path(folder) / "additional_chat_templates" /
                                           (std::string(name) + ".jinja");
  std::error_code error;
  if (fs::exists(file, error)) {
    RIDGELINE_TRY(std::string text, read_small_text(file.string(), kTemplateBytesMax));
    return std::optional(std::move(text));
  }
  for (const char* config : {"chat_template.json", "tokenizer_config.json"}) {
    RIDGELINE_TRY(auto source, template_of_config((fs::path(folder) / config).string(), name));
    if (source) return source;
  }
  return std::nullopt;
}

std::string token_text(const Tokenizer& tokenizer, const std::optional<TokenId>& id) {
  if (!id || !tokenizer.is_valid(*id)) return "";
  return tokenizer.data().tokens[static_cast<std::size_t>(*id)];
}

}  // namespace

Result<std::optional<std::string>> read_chat_template(const Checkpoint& checkpoint,
                                                      const std::string& folder,
                                                      std::string_view name) {
  if (!folder.empty()) return template_of_folder(folder, name);
  const std::string key = fmt::format("tokenizer.chat_template{}{}", name.empty() ? "" : ".", name);
  RIDGELINE_TRY(const auto text, checkpoint.string(key));
  return text ? std::optional(std::string(*text)) : std::nullopt;
}

std::string bos_token_text(const Tokenizer& tokenizer) {
  return token_text(tokenizer, tokenizer.data().bos);
}

std::string eos_token_text(const Tokenizer& tokenizer) {
  return token_text(tokenizer, tokenizer.data().eos);
}

Result<ChatTemplate> load_chat_template(const ModelFile& file, bool with_tools,
                                        std::string bos_token, std::string eos_token) {
  std::optional<std::string> source;
  std::string name = file.path() + ": the chat template";
  if (with_tools) {
    RIDGELINE_TRY(source, file.chat_template(kToolUse));
    if (source) name += fmt::format(" '{}'", kToolUse);
  }
  if (!source) {
    RIDGELINE_TRY(source, file.chat_template());
  }
  if (!source) return tl::make_unexpected(no_chat_template(file.path()));
  return ChatTemplate::parse(*std::move(source), std::move(bos_token), std::move(eos_token),
                             std::move(name));
}

Result<ChatTemplate> load_chat_template(const std::string& name_or_path, std::string bos_token,
                                        std::string eos_token) {
  std::string source;
  std::error_code error;
  if (std::filesystem::exists(name_or_path, error)) {
    RIDGELINE_TRY(source, read_small_text(name_or_path, kTemplateBytesMax));
  } else if (const char* builtin = builtin_chat_template(name_or_path)) {
    source = builtin;
  } else {
    std::string names;
    for (const std::string_view name : builtin_chat_template_names())
      names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
    return fail(fmt::format("{}: no such file, and no built-in chat template; those are {}",
                            name_or_path, names));
  }
  return ChatTemplate::parse(std::move(source), std::move(bos_token), std::move(eos_token),
                             name_or_path);
}

}  // namespace ridgeline
