#include "ridgeline/text/hf_normalizer.h"

#include <memory>
#include <utility>

#include "ridgeline/text/bert_characters.h"
#include "ridgeline/text/bert_normalizer.h"
#include "ridgeline/text/byte_level_map.h"
#include "ridgeline/text/hf_json.h"
#include "ridgeline/text/hf_regex.h"
#include "ridgeline/text/hf_text.h"
#include "ridgeline/text/sentencepiece_normalizer.h"

namespace ridgeline {
namespace {

constexpr std::string_view kSupported =
    "Sequence, NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend, Replace, "
    "BertNormalizer, Nmt, Precompiled, ByteLevel";

// Writes for each character what `append(character, its bytes, output)` makes of it.
template <class Append>
void rewrite(std::string& text, Append&& append) {
  std::string output;
  output.reserve(text.size());
  for_each_character(text, [&](char32_t c, std::string_view bytes) { append(c, bytes, output); });
  text = std::move(output);
}

template <class Predicate>
void keep_if(std::string& text, Predicate&& keep) {
  rewrite(text, [&](char32_t c, std::string_view bytes, std::string& output) {
    if (keep(c)) output += bytes;
  });
}

void lowercase(std::string& text) {
  rewrite(text, [](char32_t c, std::string_view, std::string& output) {
    if (c < 0x80) {
      output += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    } else {
      bert::append_lowercase(c, output);
    }
  });
}

void strip(std::string& text, bool left, bool right) {
  std::size_t begin = text.size(), end = 0, at = 0;
  for_each_character(text, [&](char32_t c, std::string_view bytes) {
    if (!bert::is_white_space(c)) {
      begin = std::min(begin, at);
      end = at + bytes.size();
    }
    at += bytes.size();
  });
  if (right) text.resize(end);
  if (left) text.erase(0, std::min(begin, text.size()));
}

void replace_matches(std::string& text, const HfRegex& regex, std::string_view to) {
  HfRegex::Scratch scratch;
  HfRegex::Matches matches(regex, text, scratch);
  HfRegex::Span match{};
  std::string output;
  std::size_t at = 0;
  while (matches.next(match)) {
    output.append(text, at, match.begin - at).append(to);
    at = match.end;
  }
  text = output.append(text, at);
}

// The library decomposes as its NFD does, which knows fewer marks than utf8proc.
void normalize_as_bert(std::string& text, const BertNormalizerOptions& options) {
  BertNormalizerOptions cleaning = options;
  cleaning.lowercase = false;
  cleaning.strip_accents = false;
  text = bert_normalize(text, cleaning);
  if (options.strip_accents.value_or(options.lowercase)) {
    text = normalize(text, NormalizationForm::kNfd);
    keep_if(text, [](char32_t c) { return !bert::is_nonspacing_mark(c); });
  }
  if (options.lowercase) lowercase(text);
}

// Marian's and T5's training set cleaning, as SentencePiece's nmt_nfkc has it.
void normalize_as_nmt(std::string& text) {
  rewrite(text, [](char32_t c, std::string_view bytes, std::string& output) {
    const bool is_dropped = (c >= 1 && c <= 8) || c == 0x0B || (c >= 0x0E && c <= 0x1F) ||
                            c == 0x7F || c == 0x8F || c == 0x9F;
    const bool is_space = c == 9 || c == 10 || c == 12 || c == 13 || c == 0x1680 ||
                          (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
                          c == 0x2581 || c == 0xFEFF || c == kReplacementCharacter;
    if (is_space) {
      output += ' ';
    } else if (!is_dropped) {
      output += bytes;
    }
  });
}

// Unlike SentencePiece, which takes the longest entry at each place, the tokenizers
// library looks up a short grapheme cluster as a whole, takes the shortest entry that it
// begins with, and lets that stand for all of the cluster.
void normalize_by_charsmap(std::string& text, const PrecompiledCharsmap& charsmap) {
  constexpr std::size_t kMaxGraphemeBytes = 5;
  std::string output;
  output.reserve(text.size());
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t size = first_grapheme_bytes(rest);
    const std::string_view grapheme = rest.substr(0, size);
    rest.remove_prefix(size);
    if (size <= kMaxGraphemeBytes) {
      if (const auto match = charsmap.shortest_match(grapheme)) {
        output += match->replacement;
        continue;
      }
    }
    for_each_character(grapheme, [&](char32_t, std::string_view bytes) {
      const auto match = charsmap.shortest_match(bytes);
      output += match ? match->replacement : bytes;
    });
  }
  text = std::move(output);
}

Result<std::string> decode_base64(std::string_view base64) {
  std::string bytes;
  std::uint32_t bits = 0;
  int num_bits = 0;
  for (const char c : base64) {
    std::uint32_t value = 0;
    if (c >= 'A' && c <= 'Z') {
      value = static_cast<std::uint32_t>(c - 'A');
    } else if (c >= 'a' && c <= 'z') {
      value = static_cast<std::uint32_t>(c - 'a' + 26);
    } else if (c >= '0' && c <= '9') {
      value = static_cast<std::uint32_t>(c - '0' + 52);
    } else if (c == '+' || c == '/') {
      value = c == '+' ? 62 : 63;
    } else if (c == '=') {
      break;
    } else {
      return fail("the normalizer's 'precompiled_charsmap' is no base64");
    }
    bits = (bits << 6) | value;
    num_bits += 6;
    if (num_bits < 8) continue;
    num_bits -= 8;
    bytes.push_back(static_cast<char>((bits >> num_bits) & 0xFF));
  }
  return bytes;
}

}  // namespace

class HfNormalizerReader {
 public:
  explicit HfNormalizerReader(HfNormalizer& normalizer) : steps_(normalizer.steps_) {}

  // A few steps that each replace a letter by many would make any text too long.
  static constexpr std::size_t kMaxSteps = 64, kMaxGrowth = 4096;

  Status read(const HfPart& part) {
    RIDGELINE_TRY(const std::string type, part.string("type"));
    if (type == "Sequence") {
      RIDGELINE_TRY(const auto parts, part.list("normalizers"));
      for (const HfPart& child : parts) RIDGELINE_TRY_STATUS(read(child));
      return {};
    }
    return read_form(part, type);
  }

 private:
  template <class Function>
  Status add(Function&& function) {
    if (steps_.size() == kMaxSteps) {
      return fail("the normalizer has more than " + std::to_string(kMaxSteps) + " steps");
    }
    steps_.emplace_back(std::forward<Function>(function));
    return {};
  }

  Status read_form(const HfPart& part, const std::string& type) {
    using Form = NormalizationForm;
    for (const auto& [name, form] :
         {std::pair{"NFC", Form::kNfc}, std::pair{"NFD", Form::kNfd},
          std::pair{"NFKC", Form::kNfkc}, std::pair{"NFKD", Form::kNfkd}}) {
      if (type != name) continue;
      return add([form = form](std::string& text) { text = normalize(text, form); });
    }
    if (type == "Lowercase") return add(lowercase);
    if (type == "Nmt") return add(normalize_as_nmt);
    if (type == "StripAccents") {
      return add([](std::string& text) { keep_if(text, [](char32_t c) { return !is_mark(c); }); });
    }
    if (type == "ByteLevel") {
      return add([](std::string& text) {
        std::string output;
        for (const char c : text)
          append_utf8(byte_level_symbol(static_cast<std::uint8_t>(c)), output);
        text = std::move(output);
      });
    }
    return read_with_fields(part, type);
  }

  Status read_with_fields(const HfPart& part, const std::string& type) {
    if (type == "Strip") {
      RIDGELINE_TRY(const bool left, part.boolean("strip_left", false));
      RIDGELINE_TRY(const bool right, part.boolean("strip_right", false));
      return add([left, right](std::string& text) { strip(text, left, right); });
    }
    if (type == "Prepend") {
      RIDGELINE_TRY(const std::string prefix, part.string("prepend"));
      return add([prefix](std::string& text) {
        if (!text.empty()) text.insert(0, prefix);
      });
    }
    if (type == "Replace") return read_replace(part);
    if (type == "BertNormalizer") {
      BertNormalizerOptions options;
      RIDGELINE_TRY(options.clean_text, part.boolean("clean_text", true));
      RIDGELINE_TRY(options.space_cjk, part.boolean("handle_chinese_chars", true));
      RIDGELINE_TRY(options.lowercase, part.boolean("lowercase", true));
      RIDGELINE_TRY(options.strip_accents, part.boolean("strip_accents", options.lowercase));
      return add([options](std::string& text) { normalize_as_bert(text, options); });
    }
    if (type == "Precompiled") {
      RIDGELINE_TRY(const std::string base64, part.string("precompiled_charsmap", ""));
      RIDGELINE_TRY(const std::string bytes, decode_base64(base64));
      RIDGELINE_TRY(PrecompiledCharsmap charsmap, PrecompiledCharsmap::parse(bytes));
      // Shared, as a std::function must be copyable.
      const auto shared = std::make_shared<const PrecompiledCharsmap>(std::move(charsmap));
      return add([shared](std::string& text) { normalize_by_charsmap(text, *shared); });
    }
    return part.unsupported_type(type, kSupported);
  }

  Status read_replace(const HfPart& part) {
    RIDGELINE_TRY(const HfPart::Pattern pattern, part.pattern("pattern"));
    RIDGELINE_TRY(const std::string content, part.string("content"));
    if (!pattern.is_regex && pattern.text.empty()) {
      return fail("the " + part.name() + " replaces an empty string");
    }
    const std::size_t replaced_bytes = pattern.is_regex ? 1 : pattern.text.size();
    growth_ *= content.size() / replaced_bytes + 1;
    if (content.size() > kMaxGrowth || growth_ > kMaxGrowth) {
      return fail("the " + part.name() + " may make a text more than " +
                  std::to_string(kMaxGrowth) + " times as long");
    }
    if (!pattern.is_regex) {
      return add(
          [from = pattern.text, content](std::string& text) { replace_all(text, from, content); });
    }
    RIDGELINE_TRY(HfRegex regex, HfRegex::create(pattern.text));
    const auto shared = std::make_shared<const HfRegex>(std::move(regex));
    return add([shared, content](std::string& text) { replace_matches(text, *shared, content); });
  }

  std::vector<std::function<void(std::string&)>>& steps_;
  std::size_t growth_ = 1;  // of all that replaces so far
};

Result<HfNormalizer> HfNormalizer::create(const nlohmann::json& definition) {
  HfNormalizer normalizer;
  if (definition.is_null()) return normalizer;
  RIDGELINE_TRY_STATUS(HfNormalizerReader(normalizer).read(HfPart(definition, "normalizer")));
  return normalizer;
}

bool HfNormalizer::keeps_start(std::string_view text) const {
  std::string first(text.substr(0, text.empty() ? 0 : first_grapheme_bytes(text)));
  apply(first);
  return !first.empty();
}

}  // namespace ridgeline
