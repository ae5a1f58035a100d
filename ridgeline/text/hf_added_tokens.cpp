#include "ridgeline/text/hf_added_tokens.h"

#include <algorithm>
#include <utility>

#include "ridgeline/base/check.h"
#include "ridgeline/base/result.h"
#include "ridgeline/text/bert_characters.h"
#include "ridgeline/text/hf_regex.h"
#include "ridgeline/text/utf8.h"

namespace ridgeline {
namespace {

SpecialTokens make_automaton(const std::vector<HfAddedToken>& tokens, bool normalized,
                             const HfNormalizer& normalizer) {
  std::vector<std::string> texts(tokens.size());
  std::vector<SpecialTokens::Entry> entries;
  // Of equal texts a special one counts.
  for (const bool special : {true, false}) {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i].normalized != normalized || tokens[i].special != special) continue;
      texts[i] = tokens[i].content;
      if (normalized) normalizer.apply(texts[i]);
      entries.push_back({texts[i], static_cast<TokenId>(i), !special});
    }
  }
  return SpecialTokens(entries);
}

std::string_view character_before(std::string_view text, std::size_t at) {
  std::size_t begin = at;
  while (begin > 0 && at - begin < 4) {
    --begin;
    if ((static_cast<unsigned char>(text[begin]) & 0xC0) != 0x80) break;
  }
  return text.substr(begin, at - begin);
}

std::string_view character_at(std::string_view text, std::size_t at) {
  return text.substr(at, utf8_step(text.substr(at)).length_bytes);
}

bool is_white_space(std::string_view character) {
  const Utf8Step step = utf8_step(character);
  return step.status == Utf8Step::Status::kCharacter && bert::is_white_space(step.code_point);
}

bool is_word_character(std::string_view character) {
  if (utf8_valid_prefix_bytes(character) != character.size()) return false;
  // Rust's \w, which is not quite Oniguruma's.
  static const Result<HfRegex> regex =
      HfRegex::create(R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200C\u200D])");
  RIDGELINE_CHECK(regex.has_value());
  HfRegex::Scratch scratch;
  HfRegex::Matches matches(*regex, character, scratch);
  HfRegex::Span match{};
  return matches.next(match);
}

}  // namespace

HfAddedTokens::HfAddedTokens(std::vector<HfAddedToken> tokens, const HfNormalizer& normalizer)
    : tokens_(std::move(tokens)),
      raw_(make_automaton(tokens_, false, normalizer)),
      normalized_(make_automaton(tokens_, true, normalizer)) {
  for (const HfAddedToken& token : tokens_) {
    if (token.normalized) normalized_ids_.insert(static_cast<std::uint32_t>(token.id), 1);
  }
}

std::vector<HfAddedTokens::Occurrence> HfAddedTokens::find(const SpecialTokens& automaton,
                                                           std::string_view text,
                                                           bool parse_special) const {
  std::vector<Occurrence> occurrences;
  std::size_t last_end = 0;
  std::size_t space_end = 0;  // of the white space that was walked over last
  for (const auto& found : automaton.find_all(text, parse_special)) {
    const HfAddedToken& token = tokens_[static_cast<std::size_t>(found.id)];
    std::size_t begin = found.begin, end = found.begin + found.length_bytes;
    if (token.single_word) {
      if (begin > 0 && is_word_character(character_before(text, begin))) continue;
      if (end < text.size() && is_word_character(character_at(text, end))) continue;
    }
    while (token.lstrip && begin > last_end) {
      const std::string_view character = character_before(text, begin);
      if (!is_white_space(character)) break;
      begin -= character.size();
    }
    if (token.rstrip) {
      end = std::max(end, space_end);
      while (end < text.size() && is_white_space(character_at(text, end))) {
        end += character_at(text, end).size();
      }
      space_end = end;
    }
    occurrences.push_back({begin, end, token.id});
    last_end = end;
  }
  return occurrences;
}

}  // namespace ridgeline
