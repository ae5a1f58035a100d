#include "ridgeline/text/hf_vocabulary.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <utility>

#include "ridgeline/text/hf_json.h"

namespace ridgeline {
namespace {

using Type = VocabularyData::TokenType;

// How many ids may be without a token for each that has one, and besides: a wrong id
// should not cost gigabytes.
constexpr std::size_t kMaxHolesPerToken = 3, kMaxHoles = std::size_t{1} << 16;

class Reader {
 public:
  explicit Reader(const HfTokenizerJson& file) : file_(file), root_(file.root, "") {}

  Result<HfVocabulary> read(HfModelType type, const nlohmann::json& config) {
    RIDGELINE_TRY_STATUS(read_added());
    if (!config.is_null()) RIDGELINE_TRY_STATUS(read_added(HfPart(config, "")));
    RIDGELINE_TRY_STATUS(place_tokens());
    RIDGELINE_TRY_STATUS(find_unknown(type));
    set_types(type);
    if (!config.is_null()) RIDGELINE_TRY_STATUS(read_config(HfPart(config, "")));
    return std::move(vocabulary_);
  }

 private:
  static Result<HfAddedToken> read_added_token(const HfPart& part, TokenId id) {
    HfAddedToken token;
    token.id = id;
    RIDGELINE_TRY(token.content, part.string("content"));
    RIDGELINE_TRY(token.special, part.boolean("special", false));
    RIDGELINE_TRY(token.single_word, part.boolean("single_word", false));
    RIDGELINE_TRY(token.lstrip, part.boolean("lstrip", false));
    RIDGELINE_TRY(token.rstrip, part.boolean("rstrip", false));
    RIDGELINE_TRY(token.normalized, part.boolean("normalized", !token.special));
    return token;
  }

  Status add(HfAddedToken token) {
    const auto [found, is_new] = places_.emplace(token.content, vocabulary_.added.size());
    if (is_new) {
      vocabulary_.added.push_back(std::move(token));
      return {};
    }
    HfAddedToken& other = vocabulary_.added[found->second];
    if (other.id != token.id) {
      return fail("the added token " + ridgeline::quoted(token.content) + " has the ids " +
                  std::to_string(other.id) + " and " + std::to_string(token.id));
    }
    other = std::move(token);
    return {};
  }

  Status read_added() {
    if (root_.find("added_tokens") == nullptr) return {};
    RIDGELINE_TRY(const auto parts, root_.list("added_tokens"));
    for (const HfPart& part : parts) {
      if (part.find("id") == nullptr) return fail("'" + part.name() + ".id' is missing");
      RIDGELINE_TRY(const std::int64_t id, part.integer("id", 0));
      RIDGELINE_TRY(HfAddedToken token, read_added_token(part, static_cast<TokenId>(id)));
      RIDGELINE_TRY_STATUS(add(std::move(token)));
    }
    return {};
  }

  // tokenizer_config.json has them by id, in digits.
  Status read_added(const HfPart& config) {
    const nlohmann::json* tokens = config.find("added_tokens_decoder");
    if (tokens == nullptr) return {};
    if (!tokens->is_object())
      return fail("tokenizer_config.json's 'added_tokens_decoder' is no object");
    for (const auto& [digits, value] : tokens->items()) {
      TokenId id = 0;
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
      if (error != std::errc() || end != digits.data() + digits.size() || id < 0) {
        return fail("tokenizer_config.json's 'added_tokens_decoder' has the key " +
                    ridgeline::quoted(digits) + "; expected a token id");
      }
      RIDGELINE_TRY(HfAddedToken token,
                    read_added_token(HfPart(value, "added_tokens_decoder." + digits), id));
      RIDGELINE_TRY_STATUS(add(std::move(token)));
    }
    return {};
  }

  Status place_tokens() {
    std::int64_t max_id = -1;
    for (const auto& entry : file_.vocab) {
      if (entry.id < 0) {
        return fail("the token " + ridgeline::quoted(entry.text) + " has the id " +
                    std::to_string(entry.id) + "; expected none below 0");
      }
      max_id = std::max(max_id, entry.id);
    }
    for (const HfAddedToken& token : vocabulary_.added) {
      max_id = std::max<std::int64_t>(max_id, token.id);
    }
    const std::size_t num_tokens = file_.vocab.size() + vocabulary_.added.size();
    if (num_tokens == 0) return fail("'model.vocab' is missing or empty");
    if (static_cast<std::uint64_t>(max_id) > num_tokens * (1 + kMaxHolesPerToken) + kMaxHoles) {
      return fail("the vocabulary has " + std::to_string(num_tokens) + " tokens and the id " +
                  std::to_string(max_id) + ", which is too high for so few");
    }
    VocabularyData& data = vocabulary_.data;
    data.kind = VocabularyData::Kind::kPipeline;
    data.tokens.resize(static_cast<std::size_t>(max_id) + 1);
    data.types.assign(data.tokens.size(), Type::kUnused);
    for (const auto& entry : file_.vocab) {
      const auto id = static_cast<std::size_t>(entry.id);
      if (data.types[id] != Type::kUnused) return two_tokens(id, entry.text);
      data.tokens[id] = entry.text;
      data.types[id] = Type::kNormal;
    }
    for (const HfAddedToken& token : vocabulary_.added) {
      const auto id = static_cast<std::size_t>(token.id);
      if (data.types[id] != Type::kUnused && data.tokens[id] != token.content) {
        return two_tokens(id, token.content);
      }
      data.tokens[id] = token.content;
      data.types[id] = token.special ? Type::kControl : Type::kUserDefined;
    }
    return {};
  }

  tl::unexpected<Error> two_tokens(std::size_t id, const std::string& text) const {
    return fail("the id " + std::to_string(id) + " is that of two tokens, " +
                ridgeline::quoted(vocabulary_.data.tokens[id]) + " and " + ridgeline::quoted(text));
  }

  std::optional<TokenId> find(std::string_view text) const {
    const auto& tokens = vocabulary_.data.tokens;
    const auto found = std::find(tokens.begin(), tokens.end(), text);
    if (found == tokens.end() || text.empty()) return std::nullopt;
    return static_cast<TokenId>(found - tokens.begin());
  }

  Status find_unknown(HfModelType type) {
    const HfPart model = root_.child("model");
    VocabularyData& data = vocabulary_.data;
    if (type == HfModelType::kUnigram) {
      if (model.find("unk_id") == nullptr) return {};
      RIDGELINE_TRY(const std::int64_t id, model.integer("unk_id", 0));
      if (static_cast<std::size_t>(id) >= file_.vocab.size()) {
        return fail("'model.unk_id' is " + std::to_string(id) +
                    "; expected one below the number of pieces, " +
                    std::to_string(file_.vocab.size()));
      }
      data.unknown = static_cast<TokenId>(id);
      return {};
    }
    const bool is_named = model.find("unk_token") != nullptr;
    RIDGELINE_TRY(const std::string text,
                  model.string("unk_token", type == HfModelType::kWordPiece ? "[UNK]" : ""));
    data.unknown = find(text);
    if (is_named && !text.empty() && !data.unknown) {
      return fail("'model.unk_token' is " + ridgeline::quoted(text) +
                  ", which is not in the vocabulary");
    }
    return {};
  }

  void set_types(HfModelType type) {
    const nlohmann::json* byte_fallback = root_.child("model").find("byte_fallback");
    const bool has_bytes = (type == HfModelType::kBpe || type == HfModelType::kUnigram) &&
                           byte_fallback != nullptr && *byte_fallback == true;
    if (!has_bytes) return;
    VocabularyData& data = vocabulary_.data;
    for (std::size_t id = 0; id < data.tokens.size(); ++id) {
      if (data.types[id] == Type::kNormal && byte_of_token_text(data.tokens[id])) {
        data.types[id] = Type::kByte;
      }
    }
  }

  Status read_config(const HfPart& config) {
    VocabularyData& data = vocabulary_.data;
    const std::pair<const char*, std::optional<TokenId>*> names[] = {{"bos_token", &data.bos},
                                                                     {"eos_token", &data.eos},
                                                                     {"pad_token", &data.padding},
                                                                     {"unk_token", nullptr}};
    for (const auto& [name, id] : names) {
      const nlohmann::json* value = config.find(name);
      if (value == nullptr || id == nullptr) continue;
      // A string, or an added token.
      const HfPart part = value->is_object() ? config.child(name) : config;
      RIDGELINE_TRY(const std::string text, part.string(value->is_object() ? "content" : name));
      *id = find(text);
    }
    if (config.find("add_bos_token") != nullptr) {
      RIDGELINE_TRY(data.add_bos, config.boolean("add_bos_token", false));
    }
    if (config.find("add_eos_token") != nullptr) {
      RIDGELINE_TRY(data.add_eos, config.boolean("add_eos_token", false));
    }
    return {};
  }

  const HfTokenizerJson& file_;
  HfPart root_;
  HfVocabulary vocabulary_;
  std::unordered_map<std::string, std::size_t> places_;  // in added
};

}  // namespace

Result<HfVocabulary> read_hf_vocabulary(const HfTokenizerJson& file, HfModelType type,
                                        const nlohmann::json& config) {
  return Reader(file).read(type, config);
}

}  // namespace ridgeline
