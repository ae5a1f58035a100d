#include "ridgeline/text/hf_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "ridgeline/text/hf_json.h"
#include "ridgeline/text/hf_model.h"
#include "ridgeline/text/hf_normalizer.h"
#include "ridgeline/text/hf_post_processor.h"
#include "ridgeline/text/hf_pre_tokenizer.h"
#include "ridgeline/text/hf_tokenizer.h"
#include "ridgeline/text/hf_vocabulary.h"
#include "ridgeline/text/pre_tokenizer.h"
#include "ridgeline/text/tokenizer.h"
#include "ridgeline/text/utf8.h"

namespace ridgeline {
namespace {

using nlohmann::json;
using Kind = VocabularyData::Kind;
using Type = VocabularyData::TokenType;

constexpr std::string_view kSpaceMark = "\u2581";

/// The parts of a Sequence, or the one part that it is.
std::vector<json> flat(const json& part, const char* list) {
  if (part.is_null()) return {};
  if (!part.is_object() || part.value("type", json()) != json("Sequence")) return {part};
  std::vector<json> parts;
  for (const json& child : part.value(list, json::array()))
    for (json& inner : flat(child, list)) parts.push_back(std::move(inner));
  return parts;
}

/// A field that is a text; "" if it is none.
std::string text_of(const json& part, const char* key) {
  const json value = part.is_object() ? part.value(key, json()) : json();
  return value.is_string() ? value.get<std::string>() : "";
}

bool is_type(const json& part, std::string_view type) { return text_of(part, "type") == type; }

/// Whether a Replace writes spaces as SentencePiece does.
bool marks_spaces(const json& part) {
  return is_type(part, "Replace") && text_of(part, "content") == kSpaceMark &&
         part.value("pattern", json()) == json::object({{"String", " "}});
}

using Pieces = std::vector<std::string>;

Pieces pieces_of(const HfPreTokenizer& pre_tokenizer, std::string_view text) {
  Pieces pieces;
  HfRegex::Scratch scratch;
  pre_tokenizer.for_each_word(text, true, scratch,
                              [&pieces](std::string_view word) { pieces.emplace_back(word); });
  return pieces;
}

Pieces pieces_of(const PreTokenizer& pre_tokenizer, std::string_view text) {
  Pieces pieces{std::string(text)};
  PreTokenizer::Scratch scratch;
  for (int pattern = 0; pattern < pre_tokenizer.num_patterns(); ++pattern) {
    Pieces cut;
    for (const std::string& piece : pieces) {
      PreTokenizer::Pieces walk(pre_tokenizer, pattern, piece, scratch);
      for (std::string_view part; walk.next(part);) cut.emplace_back(part);
    }
    pieces = std::move(cut);
  }
  return pieces;
}

/// GGUF's pre-tokenizers that cut most like this one.
struct PreTokenizerChoice {
  std::vector<std::string> names;  ///< the best first
  bool is_same = false;            ///< the first cuts all probes alike
};

Result<PreTokenizerChoice> choose_pre_tokenizer(const HfPreTokenizer& wanted, bool ignore_merges) {
  constexpr std::size_t kNames = 3;
  std::vector<Pieces> expected;
  for (const std::string& text : tokenizer_probes()) expected.push_back(pieces_of(wanted, text));
  struct Ranked {
    std::size_t different;
    bool other_merges;
    std::size_t row;
    auto operator<=>(const Ranked&) const = default;
  };
  std::vector<Ranked> ranking;
  const auto rows = pre_tokenizer_table();
  for (std::size_t row = 0; row < rows.size(); ++row) {
    RIDGELINE_TRY(const PreTokenizer candidate, PreTokenizer::create(rows[row].names.front()));
    std::size_t different = 0;
    for (std::size_t i = 0; i < expected.size(); ++i)
      if (pieces_of(candidate, tokenizer_probes()[i]) != expected[i]) ++different;
    ranking.push_back({different, rows[row].ignore_merges != ignore_merges, row});
  }
  std::ranges::sort(ranking);
  PreTokenizerChoice choice;
  choice.is_same = ranking.front().different == 0;
  for (std::size_t i = 0; i < std::min(kNames, ranking.size()); ++i)
    choice.names.emplace_back(rows[ranking[i].row].names.front());
  return choice;
}

class Exporter {
 public:
  explicit Exporter(const HfTokenizerJson& file)
      : file_(file),
        root_(file.root, ""),
        normalizers_(flat(root_.child("normalizer").value(), "normalizers")),
        pre_tokenizers_(flat(root_.child("pre_tokenizer").value(), "pretokenizers")) {}

  Result<ExportedVocabulary> run(const json& config, const std::vector<TokenId>& end_ids) {
    RIDGELINE_TRY(const HfModelType type, hf_model_type(file_));
    RIDGELINE_TRY(HfVocabulary vocabulary, read_hf_vocabulary(file_, type, config));
    data_ = std::move(vocabulary.data);
    RIDGELINE_TRY_STATUS(set_ends(end_ids));
    switch (type) {
      case HfModelType::kBpe:
        RIDGELINE_TRY_STATUS(is_byte_level() ? set_byte_level() : set_sentencepiece());
        break;
      case HfModelType::kWordPiece:
        RIDGELINE_TRY_STATUS(set_word_piece());
        break;
      default:
        return fail(
            "the tokenizer's model is neither BPE nor WordPiece, and others can be written to "
            "GGUF from a SentencePiece file (tokenizer.model) only");
    }
    return ExportedVocabulary{std::move(data_), std::move(notes_)};
  }

  /// Byte-level BPE's; of other kinds empty.
  const PreTokenizerChoice& pre_tokenizers() const { return pre_tokenizers_of_gguf_; }

 private:
  /// What stands around a text, as bos and eos.
  Status set_ends(const std::vector<TokenId>& end_ids) {
    TokenizerPipeline::Ends ends;
    RIDGELINE_TRY_STATUS(
        read_hf_post_processor(root_.child("post_processor").value(), data_.tokens.size(), ends));
    if (ends.prefix.size() > 1 || ends.suffix.size() > 1)
      return fail(fmt::format(
          "the post_processor puts {} tokens before a text and {} behind it; GGUF has one at most",
          ends.prefix.size(), ends.suffix.size()));
    data_.add_bos = data_.add_bos.value_or(!ends.prefix.empty());
    data_.add_eos = data_.add_eos.value_or(!ends.suffix.empty());
    const auto set = [&](const std::vector<TokenId>& wanted, std::optional<TokenId>& id,
                         std::optional<bool>& adds, const char* key) {
      if (!wanted.empty() && id != wanted.front()) {
        if (id)
          notes_.push_back(
              fmt::format("the token at a text's end that the post_processor names "
                          "takes the place of {}",
                          key));
        id = wanted.front();
      }
      if (!id) adds = false;
    };
    set(ends.prefix, data_.bos, data_.add_bos, "bos_token");
    set(ends.suffix, data_.eos, data_.add_eos, "eos_token");
    for (const TokenId id : end_ids) {
      if (id == data_.eos || static_cast<std::size_t>(id) >= data_.tokens.size()) continue;
      if (!data_.eot) data_.eot = id;
    }
    return {};
  }

  bool is_byte_level() const {
    return std::ranges::any_of(pre_tokenizers_,
                               [](const json& part) { return is_type(part, "ByteLevel"); });
  }

  Status check_subwords() const {
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      RIDGELINE_TRY(const std::string text, root_.child("model").string(key, ""));
      if (!text.empty())
        return fail(fmt::format("'model.{}' is {}, which GGUF's BPE has no place for", key,
                                ridgeline::quoted(text)));
    }
    return {};
  }

  Status set_byte_level() {
    RIDGELINE_TRY_STATUS(check_subwords());
    for (const json& part : normalizers_) {
      if (!is_type(part, "NFC"))
        return fail(
            fmt::format("the normalizer is {}, which GGUF's byte-level BPE has no place for",
                        ridgeline::quoted(text_of(part, "type"))));
      notes_.emplace_back(
          "the tokenizer brings texts to Unicode's form NFC, which GGUF files do not say: texts "
          "in other forms get other ids");
    }
    RIDGELINE_TRY(HfPreTokenizer cutter,
                  HfPreTokenizer::create(root_.child("pre_tokenizer").value()));
    if (!cutter.ends_with_byte_map())
      return fail("the pre_tokenizer does not end with ByteLevel, as GGUF's byte-level BPE does");
    cutter.remove_byte_map();
    RIDGELINE_TRY(const bool ignore_merges, root_.child("model").boolean("ignore_merges", false));
    RIDGELINE_TRY(pre_tokenizers_of_gguf_, choose_pre_tokenizer(cutter, ignore_merges));
    data_.pre_tokenizer = pre_tokenizers_of_gguf_.names.front();
    data_.kind = Kind::kByteLevelBpe;
    std::string_view texts = file_.merge_texts;
    for (const auto& merge : file_.merges) {
      const std::string_view left = texts.substr(0, merge.left_bytes);
      const std::string_view right = texts.substr(merge.left_bytes, merge.right_bytes);
      texts.remove_prefix(left.size() + right.size());
      if (left.find(' ') != std::string_view::npos || right.find(' ') != std::string_view::npos)
        return fail("a merge of the model has a space in it, which GGUF's merges cannot have");
      data_.merges.push_back(fmt::format("{} {}", left, right));
    }
    return {};
  }

  /// Whether texts are given a space in front; the parts are checked to be SentencePiece's.
  Result<bool> read_space_prefix() const {
    bool adds = false, marks = false;
    for (const json& part : normalizers_) {
      if (marks_spaces(part)) {
        marks = true;
      } else if (is_type(part, "Prepend") && text_of(part, "prepend") == kSpaceMark) {
        adds = true;
      } else {
        return fail(
            fmt::format("the normalizer has a part {}, which GGUF's SentencePiece BPE has "
                        "no place for",
                        ridgeline::quoted(text_of(part, "type"))));
      }
    }
    for (const json& part : pre_tokenizers_) {
      if (is_type(part, "Metaspace")) {
        marks = true;
        const bool old_default = part.value("add_prefix_space", json(true)) != json(false);
        adds = adds || part.value("prepend_scheme", json(old_default ? "always" : "never")) !=
                           json("never");
      } else if (!(is_type(part, "Split") && marks)) {
        return fail(
            fmt::format("the pre_tokenizer has a part {}, which GGUF's SentencePiece BPE "
                        "has no place for",
                        ridgeline::quoted(text_of(part, "type"))));
      }
    }
    if (!marks)
      return fail(
          "the tokenizer is neither byte-level BPE nor SentencePiece's, which writes spaces as "
          "U+2581; GGUF has no other BPE");
    return adds;
  }

  /// The merges as scores: what is merged first scores best.
  Status set_sentencepiece() {
    RIDGELINE_TRY_STATUS(check_subwords());
    RIDGELINE_TRY(const bool byte_fallback, root_.child("model").boolean("byte_fallback", false));
    if (!byte_fallback)
      return fail("'model.byte_fallback' is false; expected true, or the pre_tokenizer ByteLevel");
    RIDGELINE_TRY(data_.add_space_prefix, read_space_prefix());
    data_.kind = Kind::kSentencePieceBpe;
    std::unordered_map<std::string_view, std::size_t> ids;
    for (std::size_t i = 0; i < data_.tokens.size(); ++i)
      if (data_.types[i] != Type::kUnused) ids.emplace(data_.tokens[i], i);
    // What no merge yields is the last to be chosen.
    data_.scores.assign(data_.tokens.size(), -1e9F);
    std::string_view texts = file_.merge_texts;
    float score = 0;
    for (const auto& merge : file_.merges) {
      const std::string_view whole = texts.substr(0, merge.left_bytes + merge.right_bytes);
      texts.remove_prefix(whole.size());
      const auto found = ids.find(whole);
      if (found == ids.end()) continue;
      float& of_token = data_.scores[found->second];
      if (of_token == -1e9F) of_token = --score;
    }
    for (std::size_t i = 0; i < data_.tokens.size(); ++i)
      if (data_.types[i] != Type::kNormal) data_.scores[i] = 0;
    if (data_.unknown) data_.types[static_cast<std::size_t>(*data_.unknown)] = Type::kUnknown;
    return {};
  }

  Status set_word_piece() {
    RIDGELINE_TRY(const std::string prefix,
                  root_.child("model").string("continuing_subword_prefix", "##"));
    if (normalizers_.size() != 1 || !is_type(normalizers_[0], "BertNormalizer") ||
        pre_tokenizers_.size() != 1 || !is_type(pre_tokenizers_[0], "BertPreTokenizer"))
      return fail(
          "GGUF's WordPiece expects the normalizer BertNormalizer and the pre_tokenizer "
          "BertPreTokenizer");
    const HfPart normalizer(normalizers_[0], "normalizer");
    RIDGELINE_TRY(const bool lowercase, normalizer.boolean("lowercase", true));
    RIDGELINE_TRY(const bool strip_accents, normalizer.boolean("strip_accents", lowercase));
    data_.lowercase = lowercase;
    data_.strip_accents = strip_accents;
    data_.kind = Kind::kWordPiece;
    for (std::size_t i = 0; i < data_.tokens.size(); ++i) {
      std::string& token = data_.tokens[i];
      // The others are found in the text as they are written.
      if (data_.types[i] != Type::kNormal) continue;
      if (token.starts_with(prefix))
        token.erase(0, prefix.size());
      else
        token.insert(0, kSpaceMark);
    }
    return {};
  }

  const HfTokenizerJson& file_;
  HfPart root_;
  std::vector<json> normalizers_, pre_tokenizers_;
  VocabularyData data_;
  PreTokenizerChoice pre_tokenizers_of_gguf_;
  std::vector<std::string> notes_;
};

/// Texts made of the vocabulary's own tokens: the scripts and the languages that it is for.
std::vector<std::string> texts_of(const Tokenizer& tokenizer) {
  constexpr TokenId kTokens = 4000, kTokensEach = 50;
  std::vector<std::string> texts;
  const TokenId step = std::max<TokenId>(1, tokenizer.vocab_size() / kTokens);
  TokenId in_text = 0;
  for (TokenId id = 0; id < tokenizer.vocab_size(); id += step) {
    const std::string piece = tokenizer.piece(id);
    if (piece.empty() || utf8_valid_prefix_bytes(piece) != piece.size()) continue;
    if (in_text++ % kTokensEach == 0) texts.emplace_back();
    texts.back() += piece;
  }
  return texts;
}

/// Probes that the copy gives other ids.
std::vector<std::string> different_probes(const Tokenizer& original, const Tokenizer& copy) {
  std::vector<std::string> different;
  for (const std::string& text : tokenizer_probes())
    if (original.encode(text) != copy.encode(text)) different.push_back(text);
  return different;
}

/// Where no name cuts alike, one will do if no merge joins what it does not cut.
Status settle_pre_tokenizer(const Tokenizer& original, const PreTokenizerChoice& choice,
                            VocabularyData& data) {
  if (choice.names.empty() || choice.is_same) return {};
  for (const std::string& name : choice.names) {
    data.pre_tokenizer = name;
    RIDGELINE_TRY(const std::unique_ptr<Tokenizer> copy, Tokenizer::create(data));
    if (different_probes(original, *copy).empty()) return {};
  }
  return fail(
      "the pre_tokenizer cuts texts in a way that GGUF has no name for (tokenizer.ggml.pre)");
}

Status compare(const Tokenizer& original, const HfNormalizer& normalizer, bool may_normalize,
               ExportedVocabulary& exported) {
  RIDGELINE_TRY(const std::unique_ptr<Tokenizer> created, Tokenizer::create(exported.data));
  const Tokenizer& copy = *created;
  for (const TokenId id : original.data().end_ids)
    if (copy.is_valid(id) && !copy.is_end_of_generation(id))
      exported.notes.push_back(
          fmt::format("GGUF has no place for another token that ends a generation: {}",
                      ridgeline::quoted(copy.data().tokens[static_cast<std::size_t>(id)])));
  // Texts that begin with a space, or hold runs of them, are cut in more ways than GGUF knows.
  // A few such differences are its users' lot; many mean another tokenizer.
  const std::vector<std::string> different = different_probes(original, copy);
  if (2 * different.size() > tokenizer_probes().size())
    return fail(
        fmt::format("in GGUF's form the tokenizer would give most texts other tokens, such as {}",
                    ridgeline::quoted(different.front())));
  if (!different.empty()) {
    exported.notes.push_back(fmt::format(
        "in GGUF's form the tokenizer gives {} of {} texts that were tried other tokens, such as "
        "{}",
        different.size(), tokenizer_probes().size(), ridgeline::quoted(different.front())));
    return {};
  }
  for (std::string text : texts_of(original)) {
    if (may_normalize) normalizer.apply(text);
    if (original.encode(text) == copy.encode(text)) continue;
    exported.notes.push_back(
        fmt::format("in GGUF's form the tokenizer gives some rare texts other tokens, such as {}",
                    ridgeline::quoted(text)));
    break;
  }
  return {};
}

Result<ExportedVocabulary> export_like(const Tokenizer& original, std::string_view tokenizer_json,
                                       std::string_view tokenizer_config_json,
                                       const std::vector<TokenId>& end_ids) {
  RIDGELINE_TRY(const HfTokenizerJson file, parse_hf_tokenizer_json(tokenizer_json));
  json config;
  if (!tokenizer_config_json.empty()) {
    RIDGELINE_TRY(config, parse_hf_json(tokenizer_config_json));
  }
  Exporter exporter(file);
  RIDGELINE_TRY(ExportedVocabulary exported, exporter.run(config, end_ids));
  RIDGELINE_TRY_STATUS(settle_pre_tokenizer(original, exporter.pre_tokenizers(), exported.data));
  RIDGELINE_TRY(const HfNormalizer normalizer,
                HfNormalizer::create(HfPart(file.root, "").child("normalizer").value()));
  const bool is_byte_level = exported.data.kind == Kind::kByteLevelBpe;
  RIDGELINE_TRY_STATUS(compare(original, normalizer, is_byte_level, exported));
  return exported;
}

}  // namespace

Result<ExportedVocabulary> export_hf_tokenizer(std::string_view tokenizer_json,
                                               std::string_view tokenizer_config_json,
                                               const std::string& path_for_errors,
                                               const std::vector<TokenId>& end_ids) {
  // First what is wrong with the file itself.
  RIDGELINE_TRY(const std::unique_ptr<Tokenizer> original,
                load_hf_tokenizer(tokenizer_json, tokenizer_config_json, path_for_errors, end_ids));
  auto exported = export_like(*original, tokenizer_json, tokenizer_config_json, end_ids);
  if (!exported) return fail(fmt::format("{}: {}", path_for_errors, exported.error().message));
  return exported;
}

}  // namespace ridgeline
