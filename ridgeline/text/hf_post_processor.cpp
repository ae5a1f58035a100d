#include "ridgeline/text/hf_post_processor.h"

#include "ridgeline/text/hf_json.h"

namespace ridgeline {
namespace {

constexpr std::string_view kSupported =
    "Sequence, TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel";

class Reader {
 public:
  Reader(std::size_t vocab_size, TokenizerPipeline::Ends& ends)
      : vocab_size_(vocab_size), ends_(ends) {}

  Status read(const HfPart& part) {
    RIDGELINE_TRY(const std::string type, part.string("type"));
    if (type == "Sequence") {
      RIDGELINE_TRY(const auto parts, part.list("processors"));
      for (const HfPart& child : parts) RIDGELINE_TRY_STATUS(read(child));
      return {};
    }
    if (type == "ByteLevel") return {};  // concerns offsets only
    if (type == "TemplateProcessing") return read_template(part);
    if (type == "BertProcessing" || type == "RobertaProcessing") {
      RIDGELINE_TRY(const TokenId cls, id_of_pair(part, "cls"));
      RIDGELINE_TRY(const TokenId sep, id_of_pair(part, "sep"));
      put_around({cls}, {sep});
      return {};
    }
    return part.unsupported_type(type, kSupported);
  }

 private:
  void put_around(const std::vector<TokenId>& prefix, const std::vector<TokenId>& suffix) {
    ends_.prefix.insert(ends_.prefix.begin(), prefix.begin(), prefix.end());
    ends_.suffix.insert(ends_.suffix.end(), suffix.begin(), suffix.end());
  }

  Result<TokenId> checked_id(const nlohmann::json& value, const std::string& field) const {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() >= vocab_size_) {
      return fail("'" + field + "' has the id " +
                  (value.is_number() ? value.dump() : "of no number") +
                  "; expected one below the number of tokens, " + std::to_string(vocab_size_));
    }
    return value.get<TokenId>();
  }

  // ["[CLS]", 101]
  Result<TokenId> id_of_pair(const HfPart& part, const char* key) const {
    const nlohmann::json* pair = part.find(key);
    const std::string field = part.name() + "." + key;
    if (pair == nullptr || !pair->is_array() || pair->size() != 2) {
      return fail("'" + field + "' is no pair of a token and its id");
    }
    return checked_id((*pair)[1], field);
  }

  Status read_template(const HfPart& part) {
    RIDGELINE_TRY(const auto pieces, part.list("single"));
    std::vector<TokenId> prefix, suffix;
    int num_texts = 0;
    for (const HfPart& piece : pieces) {
      if (piece.find("Sequence") != nullptr) {
        RIDGELINE_TRY(const std::string id, piece.child("Sequence").string("id", "A"));
        if (id != "A") return fail("'" + piece.name() + "' is the text " + id + "; expected A");
        ++num_texts;
        continue;
      }
      RIDGELINE_TRY(const std::string token, piece.child("SpecialToken").string("id"));
      const HfPart special = part.child("special_tokens");
      const nlohmann::json* ids = special.child(token.c_str()).find("ids");
      if (ids == nullptr || !ids->is_array()) {
        return fail("'" + special.name() + "' does not say the ids of " + token);
      }
      for (const nlohmann::json& id : *ids) {
        RIDGELINE_TRY(const TokenId checked, checked_id(id, special.name()));
        (num_texts == 0 ? prefix : suffix).push_back(checked);
      }
    }
    if (num_texts != 1) {
      return fail("'" + part.name() + ".single' has the text " + std::to_string(num_texts) +
                  " times; expected once");
    }
    put_around(prefix, suffix);
    return {};
  }

  std::size_t vocab_size_;
  TokenizerPipeline::Ends& ends_;
};

}  // namespace

Status read_hf_post_processor(const nlohmann::json& definition, std::size_t vocab_size,
                              TokenizerPipeline::Ends& ends) {
  if (definition.is_null()) return {};
  return Reader(vocab_size, ends).read(HfPart(definition, "post_processor"));
}

}  // namespace ridgeline
