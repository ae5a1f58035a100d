#include "ridgeline/text/sentencepiece_normalizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ridgeline/text/utf8.h"

namespace ridgeline {
namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

// NFKC's longest replacement is 33 bytes (U+FDFA), and its longest key is shorter. The
// limits keep what a hostile file can make of a text linear in the text.
constexpr std::size_t kMaxReplacementBytes = 1024;
constexpr std::size_t kMaxKeyBytes = 256;

// A unit of the double array, as Darts-clone packs it.
std::size_t offset_of(std::uint32_t unit) {
  return std::size_t{unit >> 10} << ((unit & (1u << 9)) >> 6);
}
std::uint32_t label_of(std::uint32_t unit) { return unit & 0x800000FFu; }
bool has_leaf(std::uint32_t unit) { return ((unit >> 8) & 1) != 0; }
std::size_t value_of(std::uint32_t unit) { return unit & 0x7FFFFFFFu; }

std::uint32_t load_u32(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value |= std::uint32_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  }
  return value;
}

}  // namespace

Result<PrecompiledCharsmap> PrecompiledCharsmap::parse(std::string_view bytes) {
  PrecompiledCharsmap map;
  if (bytes.empty()) return map;
  if (bytes.size() < 4) {
    return fail(fmt::format(
        "the precompiled charsmap has {} bytes; expected at least 4, its double array's size",
        bytes.size()));
  }
  const std::size_t array_bytes = load_u32(bytes, 0);
  if (array_bytes % 4 != 0 || array_bytes == 0 || array_bytes >= bytes.size() - 4) {
    return fail(fmt::format(
        "the precompiled charsmap of {} bytes has a double array of {}; expected a multiple of 4 "
        "that leaves room for the replacements",
        bytes.size(), array_bytes));
  }
  map.replacements_ = std::string(bytes.substr(4 + array_bytes));
  if (map.replacements_.back() != '\0') {
    return fail("the precompiled charsmap's last replacement has no end; expected a zero byte");
  }
  for (std::size_t begin = 0; begin < map.replacements_.size();) {
    const std::size_t end = map.replacements_.find('\0', begin);
    if (end - begin > kMaxReplacementBytes) {
      return fail(
          fmt::format("the precompiled charsmap has a replacement of {} bytes; expected at most {}",
                      end - begin, kMaxReplacementBytes));
    }
    begin = end + 1;
  }
  map.units_.resize(array_bytes / 4);
  for (std::size_t i = 0; i < map.units_.size(); ++i) map.units_[i] = load_u32(bytes, 4 + 4 * i);
  return map;
}

// Calls visit(match) with ever longer matches until it returns false.
template <class Visit>
void PrecompiledCharsmap::for_each_match(std::string_view text, Visit&& visit) const {
  if (units_.empty()) return;
  std::size_t node = offset_of(units_[0]);
  const std::size_t length_max = std::min(text.size(), kMaxKeyBytes);
  for (std::size_t i = 0; i < length_max; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (node >= units_.size() || label_of(units_[node]) != byte) return;
    const std::uint32_t unit = units_[node];
    node ^= offset_of(unit);
    if (!has_leaf(unit)) continue;
    if (node >= units_.size()) return;
    const std::size_t at = value_of(units_[node]);
    if (at >= replacements_.size()) return;
    if (!visit(Match{i + 1, std::string_view(replacements_.c_str() + at)})) return;
  }
}

std::optional<PrecompiledCharsmap::Match> PrecompiledCharsmap::longest_match(
    std::string_view text) const {
  std::optional<Match> longest;
  for_each_match(text, [&longest](const Match& match) {
    longest = match;
    return true;
  });
  return longest;
}

std::optional<PrecompiledCharsmap::Match> PrecompiledCharsmap::shortest_match(
    std::string_view text) const {
  std::optional<Match> shortest;
  for_each_match(text, [&shortest](const Match& match) {
    shortest = match;
    return false;
  });
  return shortest;
}

SentencePieceNormalizer::Step SentencePieceNormalizer::step(std::string_view text) const {
  if (const auto match = charsmap_.longest_match(text)) {
    return {match->replacement, match->length_bytes};
  }
  const std::size_t length = utf8_step(text).length_bytes;
  return {text.substr(0, length), length};
}

std::string SentencePieceNormalizer::normalize(std::string_view text) const {
  const std::string_view space = options_.escape_whitespaces ? kSpaceMark : " ";
  std::string normalized;
  normalized.reserve(text.size() + text.size() / 4 + space.size());
  if (options_.remove_extra_whitespaces) {
    while (!text.empty()) {
      const Step first = step(text);
      if (first.replacement != " ") break;
      text.remove_prefix(first.length_bytes);
    }
  }
  if (text.empty()) return normalized;

  if (options_.add_space_prefix) normalized += space;
  bool after_space = options_.remove_extra_whitespaces;
  while (!text.empty()) {
    auto [replacement, length_bytes] = step(text);
    text.remove_prefix(length_bytes);
    while (after_space && replacement.starts_with(' ')) replacement.remove_prefix(1);
    if (replacement.empty()) continue;
    for (const char c : replacement) {
      if (c == ' ') {
        normalized += space;
      } else {
        normalized.push_back(c);
      }
    }
    after_space = options_.remove_extra_whitespaces && replacement.ends_with(' ');
  }
  if (options_.remove_extra_whitespaces) {
    while (normalized.ends_with(space)) normalized.erase(normalized.size() - space.size());
  }
  return normalized;
}

Result<SentencePieceNormalizer> make_sentencepiece_normalizer(const VocabularyData& data) {
  RIDGELINE_TRY(PrecompiledCharsmap charsmap,
                PrecompiledCharsmap::parse(data.precompiled_charsmap));
  SentencePieceNormalizer::Options options;
  options.add_space_prefix = data.add_space_prefix.value_or(true);
  options.remove_extra_whitespaces = data.remove_extra_whitespaces.value_or(false);
  return SentencePieceNormalizer(std::move(charsmap), options);
}

}  // namespace ridgeline
