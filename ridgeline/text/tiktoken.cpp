#include "ridgeline/text/tiktoken.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <system_error>
#include <utility>

#include "ridgeline/text/byte_level_map.h"
#include "ridgeline/text/token_index.h"
#include "ridgeline/text/utf8.h"

namespace ridgeline {
namespace {

// The models' longest are of 128 bytes. Each way to cut a token in two is tried.
constexpr std::size_t kMaxTokenBytes = 512;

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

// RFC 4648, with padding.
std::optional<std::string> decode_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  const std::size_t num_padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int value = i < text.size() - num_padding ? base64_value(text[i]) : 0;
    if (value < 0) return std::nullopt;
    bits = (bits << 6) | static_cast<std::uint32_t>(value);
    if (i % 4 != 3) continue;
    for (const int shift : {16, 8, 0}) bytes.push_back(static_cast<char>((bits >> shift) & 0xFF));
  }
  bytes.erase(bytes.size() - num_padding);
  return bytes;
}

struct Line {
  std::string_view base64, rank;
};

// Cuts the first line off `bytes`.
Line take_line(std::string_view& bytes) {
  std::string_view line = bytes.substr(0, bytes.find('\n'));
  bytes.remove_prefix(std::min(bytes.size(), line.size() + 1));
  if (line.ends_with('\r')) line.remove_suffix(1);
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return {line, {}};
  return {line.substr(0, space), line.substr(space + 1)};
}

std::optional<std::size_t> parse_rank(std::string_view text) {
  std::size_t rank = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), rank);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return rank;
}

Result<std::vector<std::string>> read_tokens(std::string_view bytes) {
  std::vector<std::string> tokens;
  for (std::size_t line_number = 1; !bytes.empty(); ++line_number) {
    const Line line = take_line(bytes);
    if (line.base64.empty() && line.rank.empty()) continue;
    std::optional<std::string> token = decode_base64(line.base64);
    const std::optional<std::size_t> rank = parse_rank(line.rank);
    if (!token || !rank) {
      return fail(fmt::format(
          "line {} of the tiktoken file is {} {}; expected a token in base64 and its rank",
          line_number, quoted(line.base64), quoted(line.rank)));
    }
    if (*rank != tokens.size()) {
      return fail(fmt::format("line {} of the tiktoken file has the rank {}; expected {}",
                              line_number, *rank, tokens.size()));
    }
    if (token->size() > kMaxTokenBytes) {
      return fail(
          fmt::format("line {} of the tiktoken file has a token of {} bytes; expected at "
                      "most {}",
                      line_number, token->size(), kMaxTokenBytes));
    }
    tokens.push_back(*std::move(token));
  }
  if (tokens.empty()) return fail("the tiktoken file has no tokens; expected some");
  return tokens;
}

std::string byte_level_text(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    append_utf8(byte_level_symbol(static_cast<std::uint8_t>(byte)), text);
  }
  return text;
}

// Of one token's pairs those of the lowest ranks first, as converters to tokenizer.json
// write them.
void append_merges(std::string_view token, const TokenIndex& index,
                   std::vector<std::string>& merges) {
  struct Split {
    TokenId left, right;
    std::size_t at;
    bool operator<(const Split& other) const {
      return std::pair(left, right) < std::pair(other.left, other.right);
    }
  };
  std::vector<Split> splits;
  for (std::size_t at = 1; at < token.size(); ++at) {
    const TokenId left = index.find(token.substr(0, at));
    if (left == kNoToken) continue;
    const TokenId right = index.find(token.substr(at));
    if (right != kNoToken) splits.push_back({left, right, at});
  }
  std::sort(splits.begin(), splits.end());
  for (const Split& split : splits) {
    merges.push_back(byte_level_text(token.substr(0, split.at)) + " " +
                     byte_level_text(token.substr(split.at)));
  }
}

}  // namespace

bool looks_like_tiktoken(std::string_view bytes) {
  const Line line = take_line(bytes);
  return decode_base64(line.base64) && parse_rank(line.rank);
}

Result<VocabularyData> read_tiktoken(std::string_view bytes, std::string_view pre_tokenizer,
                                     const std::vector<std::string>& special_tokens) {
  RIDGELINE_TRY(const std::vector<std::string> tokens, read_tokens(bytes));
  TokenIndex index(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) index.insert(tokens[i], static_cast<TokenId>(i));
  VocabularyData data;
  data.kind = VocabularyData::Kind::kByteLevelBpe;
  data.pre_tokenizer = pre_tokenizer;
  data.tokens.reserve(tokens.size() + special_tokens.size());
  for (const std::string& token : tokens) {
    data.tokens.push_back(byte_level_text(token));
    append_merges(token, index, data.merges);
  }
  data.types.assign(tokens.size(), VocabularyData::TokenType::kNormal);
  for (const std::string& token : special_tokens) {
    data.tokens.push_back(token);
    data.types.push_back(VocabularyData::TokenType::kControl);
  }
  return data;
}

}  // namespace ridgeline
