#include "ridgeline/text/hf_tokenizer.h"

#include <algorithm>
#include <utility>

#include "ridgeline/text/hf_added_tokens.h"
#include "ridgeline/text/hf_decoder.h"
#include "ridgeline/text/hf_json.h"
#include "ridgeline/text/hf_model.h"
#include "ridgeline/text/hf_normalizer.h"
#include "ridgeline/text/hf_post_processor.h"
#include "ridgeline/text/hf_pre_tokenizer.h"
#include "ridgeline/text/hf_vocabulary.h"
#include "ridgeline/text/tokenizer_pipeline.h"
#include "ridgeline/text/utf8.h"

namespace ridgeline {
namespace {

using Type = VocabularyData::TokenType;

class HfPipeline final : public TokenizerPipeline {
 public:
  // Views the vocabulary's texts, which move with it but stay where they are.
  static Result<std::unique_ptr<HfPipeline>> create(const HfTokenizerJson& file, HfModelType type,
                                                    const HfVocabulary& vocabulary);

  void encode(std::string_view text, bool parse_special, std::vector<TokenId>& ids) const override;
  Piece piece(TokenId id, const VocabularyData& data) const override;

 private:
  struct Session {
    bool parse_special;
    std::vector<TokenId>& ids;
    PieceCache cache;
    HfRegex::Scratch scratch;
  };

  HfPipeline(HfNormalizer normalizer, HfPreTokenizer pre_tokenizer, HfDecoder decoder,
             const std::vector<HfAddedToken>& added, std::size_t num_model_tokens)
      : normalizer_(std::move(normalizer)),
        pre_tokenizer_(std::move(pre_tokenizer)),
        decoder_(std::move(decoder)),
        added_(added, normalizer_),
        index_(num_model_tokens) {}

  void encode_bytes(std::string_view text, bool is_start, Session& session) const;
  void encode_text(std::string_view text, bool is_start, Session& session) const;
  void encode_normalized(std::string_view text, bool is_start, Session& session) const;

  HfNormalizer normalizer_;
  HfPreTokenizer pre_tokenizer_;
  HfDecoder decoder_;
  HfAddedTokens added_;
  TokenIndex index_;  // of the model's tokens
  std::unique_ptr<const HfModel> model_;
  bool takes_any_byte_ = false;
};

Result<std::unique_ptr<HfPipeline>> HfPipeline::create(const HfTokenizerJson& file,
                                                       HfModelType type,
                                                       const HfVocabulary& vocabulary) {
  const HfPart root(file.root, "");
  const VocabularyData& data = vocabulary.data;
  Ends ends;
  RIDGELINE_TRY(auto normalizer, HfNormalizer::create(root.child("normalizer").value()));
  RIDGELINE_TRY(auto pre_tokenizer, HfPreTokenizer::create(root.child("pre_tokenizer").value()));
  RIDGELINE_TRY(auto decoder, HfDecoder::create(root.child("decoder").value(), ends));
  RIDGELINE_TRY_STATUS(
      read_hf_post_processor(root.child("post_processor").value(), data.tokens.size(), ends));
  auto pipeline = std::unique_ptr<HfPipeline>(
      new HfPipeline(std::move(normalizer), std::move(pre_tokenizer), std::move(decoder),
                     vocabulary.added, file.vocab.size()));
  pipeline->ends_ = std::move(ends);
  for (const auto& entry : file.vocab) {
    const std::string& text = data.tokens[static_cast<std::size_t>(entry.id)];
    if (!text.empty()) pipeline->index_.insert(text, static_cast<TokenId>(entry.id));
  }
  RIDGELINE_TRY(pipeline->model_,
                make_hf_model(file, type, data, pipeline->index_, pipeline->pre_tokenizer_));
  std::string all_bytes;
  for (int byte = 0; byte < 256; ++byte) all_bytes.push_back(static_cast<char>(byte));
  std::vector<TokenId> ids;
  pipeline->takes_any_byte_ = pipeline->model_->encode_bytes(all_bytes, ids);
  return pipeline;
}

// Of an added token that is looked for in the normalized text the library remembers the
// normalized content only.
TokenizerPipeline::Piece HfPipeline::piece(TokenId id, const VocabularyData& data) const {
  const Type type = data.type(id);
  if (type == Type::kUnused) return {};
  const bool is_added = type == Type::kControl || type == Type::kUserDefined;
  std::string text = data.tokens[static_cast<std::size_t>(id)];
  if (is_added && added_.is_normalized(id)) normalizer_.apply(text);
  return decoder_.decode(text, is_added);
}

void HfPipeline::encode(std::string_view text, bool parse_special,
                        std::vector<TokenId>& ids) const {
  Session session{parse_special, ids, PieceCache(text.size()), {}};
  std::size_t at = 0;
  for (const auto& found : added_.find_in_raw(text, parse_special)) {
    if (found.begin > at) encode_bytes(text.substr(at, found.begin - at), at == 0, session);
    ids.push_back(found.id);
    at = found.end;
  }
  if (at < text.size()) encode_bytes(text.substr(at), at == 0, session);
}

// All parts speak of characters. Bytes that are none go past them to the model, if it
// can say them, else they are U+FFFD.
void HfPipeline::encode_bytes(std::string_view text, bool is_start, Session& session) const {
  std::size_t num_valid = utf8_valid_prefix_bytes(text);
  if (num_valid == text.size()) return encode_text(text, is_start, session);
  std::string replaced;
  while (!text.empty()) {
    num_valid = utf8_valid_prefix_bytes(text);
    const std::string_view valid = text.substr(0, num_valid);
    text.remove_prefix(num_valid);
    const std::string_view invalid = text.substr(0, utf8_invalid_prefix_bytes(text));
    text.remove_prefix(invalid.size());
    if (takes_any_byte_) {
      if (!valid.empty()) encode_text(valid, is_start, session);
      if (!invalid.empty()) model_->encode_bytes(invalid, session.ids);
      is_start = false;
      continue;
    }
    replaced += valid;
    for (std::size_t at = 0; at < invalid.size();) {
      at += utf8_step(invalid.substr(at)).length_bytes;
      replaced += kReplacementUtf8;
    }
  }
  if (!replaced.empty()) encode_text(replaced, is_start, session);
}

void HfPipeline::encode_text(std::string_view text, bool is_start, Session& session) const {
  if (normalizer_.empty()) return encode_normalized(text, is_start, session);
  std::string normalized(text);
  normalizer_.apply(normalized);
  is_start = is_start && pre_tokenizer_.asks_for_start() && normalizer_.keeps_start(text);
  encode_normalized(normalized, is_start, session);
}

void HfPipeline::encode_normalized(std::string_view text, bool is_start, Session& session) const {
  const auto encode_word = [&](std::string_view word) {
    if (session.cache.append(word, session.ids)) return;
    const std::size_t begin = session.ids.size();
    model_->encode(word, session.cache, session.ids);
    session.cache.remember(word, begin, session.ids);
  };
  std::size_t at = 0;
  const auto encode_until = [&](std::size_t end) {
    if (end <= at) return;
    pre_tokenizer_.for_each_word(text.substr(at, end - at), is_start && at == 0, session.scratch,
                                 encode_word);
  };
  for (const auto& found : added_.find_in_normalized(text, session.parse_special)) {
    encode_until(found.begin);
    session.ids.push_back(found.id);
    at = found.end;
  }
  encode_until(text.size());
}

Result<std::unique_ptr<Tokenizer>> load(std::string_view tokenizer_json,
                                        std::string_view tokenizer_config_json,
                                        std::vector<TokenId> end_ids) {
  RIDGELINE_TRY(HfTokenizerJson file, parse_hf_tokenizer_json(tokenizer_json));
  nlohmann::json config;
  if (!tokenizer_config_json.empty()) {
    auto parsed = parse_hf_json(tokenizer_config_json);
    if (!parsed) return fail("tokenizer_config.json: " + parsed.error().message);
    config = *std::move(parsed);
  }
  RIDGELINE_TRY(const HfModelType type, hf_model_type(file));
  RIDGELINE_TRY(HfVocabulary vocabulary, read_hf_vocabulary(file, type, config));
  vocabulary.data.end_ids = std::move(end_ids);
  RIDGELINE_TRY(auto pipeline, HfPipeline::create(file, type, vocabulary));
  return Tokenizer::create(std::move(vocabulary.data), std::move(pipeline));
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> load_hf_tokenizer(std::string_view tokenizer_json,
                                                     std::string_view tokenizer_config_json,
                                                     const std::string& path_for_errors,
                                                     std::vector<TokenId> end_ids) {
  auto tokenizer = load(tokenizer_json, tokenizer_config_json, std::move(end_ids));
  if (!tokenizer) return fail(path_for_errors + ": " + tokenizer.error().message);
  return tokenizer;
}

}  // namespace ridgeline
