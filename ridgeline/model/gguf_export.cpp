#include "ridgeline/model/gguf_export.h"

#include <fmt/format.h>

#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "ridgeline/model/folder_tokenizer.h"
#include "ridgeline/model/load_chat_template.h"

namespace ridgeline {
namespace {

using Type = VocabularyData::TokenType;

/// Integers as llama.cpp's converter writes them: it reads no wider ones.
GgufValue narrowed(const GgufValue& value) {
  constexpr std::int64_t kMax = std::numeric_limits<std::uint32_t>::max();
  const auto fits = [](std::int64_t n) { return n >= 0 && n <= kMax; };
  if (const auto* one = std::get_if<std::int64_t>(&value.value);
      one != nullptr && value.type == GgufType::kInt64 && fits(*one))
    return GgufValue::of(static_cast<std::uint32_t>(*one));
  if (const auto* all = std::get_if<std::vector<std::int64_t>>(&value.value);
      all != nullptr && value.type == GgufType::kInt64) {
    std::vector<std::uint32_t> narrow;
    for (const std::int64_t n : *all) {
      if (!fits(n)) return value;
      narrow.push_back(static_cast<std::uint32_t>(n));
    }
    return GgufValue::of(narrow);
  }
  return value;
}

std::string_view kind_name(VocabularyData::Kind kind) {
  switch (kind) {
    case VocabularyData::Kind::kSentencePieceBpe:
      return "llama";
    case VocabularyData::Kind::kUnigram:
      return "t5";
    case VocabularyData::Kind::kWordPiece:
      return "bert";
    default:
      return "gpt2";
  }
}

/// What a folder's GGUF points into.
struct Owner {
  VocabularyData vocabulary;
  std::deque<std::string> texts;
};

}  // namespace

GgufMetadata vocabulary_metadata(const VocabularyData& data) {
  GgufMetadata out;
  const auto set = [&out](const char* key, auto value) {
    out.emplace_back(fmt::format("tokenizer.ggml.{}", key), GgufValue::of(value));
  };
  const auto set_id = [&set](const char* key, const std::optional<TokenId>& id) {
    if (id && *id >= 0) set(key, static_cast<std::uint32_t>(*id));
  };
  const auto set_flag = [&set](const char* key, const std::optional<bool>& flag) {
    if (flag) set(key, *flag);
  };
  set("model", kind_name(data.kind));
  set("pre", data.pre_tokenizer.empty() ? std::string_view("default")
                                        : std::string_view(data.pre_tokenizer));
  set("tokens", std::vector<std::string_view>(data.tokens.begin(), data.tokens.end()));
  std::vector<std::int32_t> types;
  for (std::size_t i = 0; i < data.tokens.size(); ++i)
    types.push_back(static_cast<std::int32_t>(data.type(static_cast<TokenId>(i))));
  set("token_type", types);
  if (is_sentencepiece(data.kind)) set("scores", data.scores);
  if (data.kind == VocabularyData::Kind::kByteLevelBpe)
    set("merges", std::vector<std::string_view>(data.merges.begin(), data.merges.end()));
  set_id("bos_token_id", data.bos);
  set_id("eos_token_id", data.eos);
  set_id("unknown_token_id", data.unknown);
  set_id("padding_token_id", data.padding);
  set_id("eot_token_id", data.eot);
  set_id("eom_token_id", data.eom);
  if (data.kind == VocabularyData::Kind::kWordPiece) {
    set_id("cls_token_id", data.bos);
    set_id("seperator_token_id", data.eos);  // GGUF's own spelling
  }
  set_flag("add_bos_token", data.add_bos);
  set_flag("add_eos_token", data.add_eos);
  set_flag("add_space_prefix", data.add_space_prefix);
  set_flag("remove_extra_whitespaces", data.remove_extra_whitespaces);
  set_flag("normalizer.lowercase", data.lowercase);
  set_flag("normalizer.strip_accents", data.strip_accents);
  if (!data.precompiled_charsmap.empty()) {
    const auto& bytes = data.precompiled_charsmap;
    set("precompiled_charsmap", std::vector<std::uint8_t>(bytes.begin(), bytes.end()));
  }
  return out;
}

Status fit_vocabulary(VocabularyData& data, std::size_t rows) {
  const std::size_t size = data.tokens.size();
  data.types.resize(size, Type::kNormal);
  for (std::size_t i = rows; i < size; ++i)
    if (data.types[i] != Type::kUnused)
      return fail(fmt::format(
          "the tokenizer has a token {} of id {}, but the model's embedding has {} rows",
          quoted(data.tokens[i]), i, rows));
  data.tokens.resize(rows);
  data.types.resize(rows, Type::kUnused);
  if (!data.scores.empty()) data.scores.resize(rows, 0.0F);
  // llama.cpp wants each token to have a text of its own.
  const std::set<std::string> texts(data.tokens.begin(), data.tokens.end());
  for (std::size_t i = 0; i < rows; ++i) {
    if (!data.tokens[i].empty() || data.types[i] != Type::kUnused) continue;
    data.tokens[i] = fmt::format("[PAD{}]", i);
    while (texts.contains(data.tokens[i])) data.tokens[i] += '_';
  }
  return {};
}

Result<GgufExport> export_folder(const Checkpoint& model, const std::string& folder) {
  GgufExport out;
  const auto owner = std::make_shared<Owner>();
  for (const auto& [key, value] : model.metadata()) {
    const auto* text = std::get_if<std::string_view>(&value.value);
    if (text == nullptr || !text->empty()) out.metadata.emplace_back(key, narrowed(value));
  }
  out.metadata.emplace_back("general.type", GgufValue::of(std::string_view("model")));

  RIDGELINE_TRY(ExportedVocabulary exported, export_folder_tokenizer(folder));
  owner->vocabulary = std::move(exported.data);
  out.notes = std::move(exported.notes);
  const TensorView* embedding = model.tensor("token_embd.weight");
  if (embedding == nullptr) return fail(fmt::format("{}: has no embedding of its tokens", folder));
  const Status fits =
      fit_vocabulary(owner->vocabulary, static_cast<std::size_t>(embedding->rows()));
  if (!fits) return fail(fmt::format("{}: {}", folder, fits.error().message));
  for (auto& pair : vocabulary_metadata(owner->vocabulary)) out.metadata.push_back(std::move(pair));

  for (const std::string name : {"", "tool_use"}) {
    RIDGELINE_TRY(auto source, read_chat_template(model, folder, name));
    if (!source) continue;
    const std::string_view text = owner->texts.emplace_back(*std::move(source));
    out.metadata.emplace_back(
        fmt::format("tokenizer.chat_template{}{}", name.empty() ? "" : ".", name),
        GgufValue::of(text));
  }
  out.owner = owner;
  return out;
}

}  // namespace ridgeline
