#include "ridgeline/text/vocabulary.h"

#include <charconv>
#include <cmath>
#include <system_error>
#include <utility>

namespace ridgeline {
namespace {

// Ids are 32 bits, and the tokenizers need numbers of their own above the tokens':
// for bytes and characters that are no tokens, at most one per byte of the texts.
constexpr std::size_t kMaxTokens = std::size_t{1} << 28;
constexpr std::size_t kMaxTextBytes = std::size_t{1} << 30;

}  // namespace

std::optional<std::uint8_t> byte_token_value(const VocabularyData& data, TokenId id) {
  using Type = VocabularyData::TokenType;
  const Type type = data.type(id);
  if (type == Type::kControl || type == Type::kUnknown || type == Type::kUserDefined) return {};
  if (type != Type::kByte && !is_sentencepiece(data.kind)) return {};
  const std::string_view text = data.tokens[static_cast<std::size_t>(id)];
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return {};
  std::uint8_t value = 0;
  const auto [end, error] = std::from_chars(&text[3], &text[5], value, 16);
  if (error != std::errc() || end != &text[5]) return {};
  return value;
}

std::string quoted(std::string_view text) {
  constexpr std::size_t kMaxShownBytes = 48;
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string shown = "\"";
  for (const char c : text.substr(0, kMaxShownBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F && c != '"' && c != '\\') {
      shown.push_back(c);
    } else {
      shown += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return shown + (text.size() > kMaxShownBytes ? "\"..." : "\"");
}

Status check_vocabulary(const VocabularyData& data) {
  const std::size_t num_tokens = data.tokens.size();
  if (num_tokens == 0) return fail("the vocabulary has no tokens; expected at least one");
  if (num_tokens > kMaxTokens) {
    return fail("the vocabulary has " + std::to_string(num_tokens) + " tokens; expected at most " +
                std::to_string(kMaxTokens));
  }
  std::size_t text_bytes = 0;
  for (const std::string& token : data.tokens) text_bytes += token.size();
  if (text_bytes > kMaxTextBytes) {
    return fail("the vocabulary's tokens have " + std::to_string(text_bytes) +
                " bytes together; expected at most " + std::to_string(kMaxTextBytes));
  }
  if (!data.types.empty() && data.types.size() != num_tokens) {
    return fail("the vocabulary has " + std::to_string(data.types.size()) + " token types for " +
                std::to_string(num_tokens) + " tokens; expected as many");
  }
  if (is_sentencepiece(data.kind)) {
    if (data.scores.size() != num_tokens) {
      return fail("the vocabulary has " + std::to_string(data.scores.size()) + " scores for " +
                  std::to_string(num_tokens) + " tokens; expected as many");
    }
    for (std::size_t i = 0; i < num_tokens; ++i) {
      if (std::isnan(data.scores[i])) {
        return fail("the score of token " + std::to_string(i) + ", " + quoted(data.tokens[i]) +
                    ", is not a number");
      }
    }
  }
  const std::pair<const char*, std::optional<TokenId>> ids[] = {
      {"bos", data.bos},         {"eos", data.eos}, {"unknown", data.unknown},
      {"padding", data.padding}, {"eot", data.eot}, {"eom", data.eom}};
  for (const auto& [name, id] : ids) {
    if (id && *id >= 0 && static_cast<std::size_t>(*id) >= num_tokens) {
      return fail(std::string("the vocabulary's ") + name + " token is " + std::to_string(*id) +
                  "; expected less than the number of tokens, " + std::to_string(num_tokens));
    }
  }
  return {};
}

}  // namespace ridgeline
