#include "ridgeline/model/vocabulary.h"

#include <fmt/format.h>

#include <limits>

namespace ridgeline {
namespace {

Result<std::optional<TokenId>> read_id(const Checkpoint& file, std::string_view key) {
  RIDGELINE_TRY(const auto value, file.integer(key));
  // Converters write 2^32-1 (or -1) for "none".
  if (!value || *value == std::numeric_limits<std::uint32_t>::max() || *value == -1)
    return std::optional<TokenId>{};
  if (*value < 0 || *value > std::numeric_limits<TokenId>::max())
    return fail(
        fmt::format("{}: metadata '{}' is {}, expected a token id", file.path(), key, *value));
  return std::optional<TokenId>(static_cast<TokenId>(*value));
}

Result<VocabularyData::Kind> read_kind(const Checkpoint& file) {
  RIDGELINE_TRY(const auto kind, file.string("tokenizer.ggml.model"));
  if (!kind)
    return fail(fmt::format(
        "{}: metadata 'tokenizer.ggml.model' is missing: no tokenizer in the file", file.path()));
  if (*kind == "llama") return VocabularyData::Kind::kSentencePieceBpe;
  if (*kind == "gpt2") return VocabularyData::Kind::kByteLevelBpe;
  if (*kind == "t5") return VocabularyData::Kind::kUnigram;
  if (*kind == "bert") return VocabularyData::Kind::kWordPiece;
  return fail(
      fmt::format("{}: tokenizer '{}' is not supported; supported: llama (SentencePiece BPE), "
                  "t5 (SentencePiece unigram), gpt2 (byte-level BPE), bert (WordPiece)",
                  file.path(), *kind));
}

// What only SentencePiece's or BERT's normalizers need.
Status read_normalizer(const Checkpoint& file, VocabularyData& data) {
  RIDGELINE_TRY(data.add_space_prefix, file.boolean("tokenizer.ggml.add_space_prefix"));
  RIDGELINE_TRY(data.remove_extra_whitespaces,
                file.boolean("tokenizer.ggml.remove_extra_whitespaces"));
  RIDGELINE_TRY(const auto charsmap, file.integers("tokenizer.ggml.precompiled_charsmap"));
  if (charsmap) {
    data.precompiled_charsmap.reserve(charsmap->size());
    for (const std::int64_t byte : *charsmap) {
      if (byte < -128 || byte > 255)
        return fail(fmt::format(
            "{}: metadata 'tokenizer.ggml.precompiled_charsmap' holds {}, expected bytes",
            file.path(), byte));
      data.precompiled_charsmap.push_back(static_cast<char>(byte));
    }
  }
  RIDGELINE_TRY(data.lowercase, file.boolean("tokenizer.ggml.normalizer.lowercase"));
  RIDGELINE_TRY(data.strip_accents, file.boolean("tokenizer.ggml.normalizer.strip_accents"));
  return {};
}

// BERT's texts stand between [CLS] and [SEP].
Status read_bert_ids(const Checkpoint& file, VocabularyData& data) {
  if (!data.bos) {
    RIDGELINE_TRY(data.bos, read_id(file, "tokenizer.ggml.cls_token_id"));
  }
  // The field's own spelling; a "separator" would be another key.
  RIDGELINE_TRY(const auto separator, read_id(file, "tokenizer.ggml.seperator_token_id"));
  if (separator) data.eos = separator;
  return {};
}

}  // namespace

Result<VocabularyData> read_vocabulary(const Checkpoint& file) {
  VocabularyData data;
  RIDGELINE_TRY(data.kind, read_kind(file));
  RIDGELINE_TRY(const auto pre, file.string("tokenizer.ggml.pre"));
  data.pre_tokenizer = pre.value_or("default");

  RIDGELINE_TRY(const auto tokens, file.strings("tokenizer.ggml.tokens"));
  if (!tokens || tokens->empty())
    return fail(
        fmt::format("{}: metadata 'tokenizer.ggml.tokens' is missing or empty", file.path()));
  data.tokens.assign(tokens->begin(), tokens->end());

  RIDGELINE_TRY(const auto scores, file.numbers("tokenizer.ggml.scores"));
  if (scores) {
    data.scores.reserve(scores->size());
    for (double s : *scores) data.scores.push_back(static_cast<float>(s));
  }
  RIDGELINE_TRY(const auto types, file.integers("tokenizer.ggml.token_type"));
  if (types) {
    data.types.reserve(types->size());
    for (std::int64_t t : *types) {
      if (t < 0 || t > 6)
        return fail(fmt::format(
            "{}: metadata 'tokenizer.ggml.token_type' holds {}, expected 0 to 6", file.path(), t));
      data.types.push_back(static_cast<VocabularyData::TokenType>(t));
    }
  } else {
    data.types.assign(data.tokens.size(), VocabularyData::TokenType::kNormal);
  }
  RIDGELINE_TRY(const auto merges, file.strings("tokenizer.ggml.merges"));
  if (merges) data.merges.assign(merges->begin(), merges->end());

  RIDGELINE_TRY(data.bos, read_id(file, "tokenizer.ggml.bos_token_id"));
  RIDGELINE_TRY(data.eos, read_id(file, "tokenizer.ggml.eos_token_id"));
  RIDGELINE_TRY(data.unknown, read_id(file, "tokenizer.ggml.unknown_token_id"));
  RIDGELINE_TRY(data.padding, read_id(file, "tokenizer.ggml.padding_token_id"));
  RIDGELINE_TRY(data.eot, read_id(file, "tokenizer.ggml.eot_token_id"));
  RIDGELINE_TRY(data.eom, read_id(file, "tokenizer.ggml.eom_token_id"));
  RIDGELINE_TRY(data.add_bos, file.boolean("tokenizer.ggml.add_bos_token"));
  RIDGELINE_TRY(data.add_eos, file.boolean("tokenizer.ggml.add_eos_token"));
  RIDGELINE_TRY_STATUS(read_normalizer(file, data));
  if (data.kind == VocabularyData::Kind::kWordPiece)
    RIDGELINE_TRY_STATUS(read_bert_ids(file, data));
  return data;
}

Result<std::unique_ptr<Tokenizer>> load_tokenizer(const Checkpoint& file) {
  RIDGELINE_TRY(VocabularyData data, read_vocabulary(file));
  auto tokenizer = Tokenizer::create(std::move(data));
  if (!tokenizer) return fail(fmt::format("{}: {}", file.path(), tokenizer.error().message));
  return tokenizer;
}

}  // namespace ridgeline
