#include "ridgeline/text/hf_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <new>

#include "ridgeline/base/check.h"

namespace ridgeline {
namespace {

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

// Characters that no normalization to NFC changes, whatever stands beside them: those
// before the first combining mark, and ranges of starters that compose with nothing
// before them.
bool is_inert_in_nfc(char32_t c) {
  return c < 0x300 || (c >= 0x410 && c < 0x460) || (c >= 0x2010 && c < 0x2028) ||
         (c >= 0x3001 && c < 0x3029) || (c >= 0x3041 && c < 0x3097) ||
         (c >= 0x30A1 && c < 0x30FB) || (c >= 0x4E00 && c < 0xA000) || (c >= 0xAC00 && c < 0xD7A4);
}

// Marks, and characters with decompositions, that are younger than the tables with which
// the tokenizers library (0.23) normalizes: to it they are starters without either.
struct Range {
  char32_t first, last;
};
constexpr Range kLaterCharacters[] = {
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},
    {0xAFA, 0xAFF},     {0xB55, 0xB55},     {0xC04, 0xC04},     {0xC3C, 0xC3C},
    {0xD00, 0xD00},     {0xD3B, 0xD3C},     {0xD81, 0xD81},     {0xEBA, 0xEBA},
    {0x1715, 0x1715},   {0x180F, 0x180F},   {0x1ABF, 0x1ACE},   {0x1CF2, 0x1CF3},
    {0x1CF7, 0x1CF7},   {0x1DF6, 0x1DFA},   {0x32FF, 0x32FF},   {0xA7F2, 0xA7F4},
    {0xA82C, 0xA82C},   {0xA8FF, 0xA8FF},   {0xAB69, 0xAB69},   {0x10781, 0x10785},
    {0x10787, 0x107B0}, {0x107B2, 0x107BA}, {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC},
    {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x11073, 0x11074},
    {0x110C2, 0x110C2}, {0x11145, 0x11146}, {0x111C9, 0x111C9}, {0x111CE, 0x111CF},
    {0x1133B, 0x1133B}, {0x1145E, 0x1145E}, {0x1182C, 0x1183A}, {0x11930, 0x11935},
    {0x11937, 0x11938}, {0x1193B, 0x1193E}, {0x11940, 0x11940}, {0x11942, 0x11943},
    {0x119D1, 0x119D7}, {0x119DA, 0x119E0}, {0x119E4, 0x119E4}, {0x11A01, 0x11A0A},
    {0x11A33, 0x11A39}, {0x11A3B, 0x11A3E}, {0x11A47, 0x11A47}, {0x11A51, 0x11A5B},
    {0x11A8A, 0x11A99}, {0x11D31, 0x11D36}, {0x11D3A, 0x11D3A}, {0x11D3C, 0x11D3D},
    {0x11D3F, 0x11D45}, {0x11D47, 0x11D47}, {0x11D8A, 0x11D8E}, {0x11D90, 0x11D91},
    {0x11D93, 0x11D97}, {0x11EF3, 0x11EF6}, {0x16F4F, 0x16F4F}, {0x16F7F, 0x16F87},
    {0x16FE4, 0x16FE4}, {0x16FF0, 0x16FF1}, {0x1CF00, 0x1CF2D}, {0x1CF30, 0x1CF46},
    {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1F16C, 0x1F16C},
    {0x1FBF0, 0x1FBF9}};

bool is_later_character(char32_t c) {
  if (c < kLaterCharacters[0].first) return false;
  const auto after = std::upper_bound(std::begin(kLaterCharacters), std::end(kLaterCharacters), c,
                                      [](char32_t a, const Range& b) { return a < b.first; });
  return after != std::begin(kLaterCharacters) && c <= std::prev(after)->last;
}

void append_mapped(std::string_view text, int options, std::string& output) {
  if (text.empty()) return;
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                             static_cast<utf8proc_ssize_t>(text.size()), &mapped,
                                             static_cast<utf8proc_option_t>(options));
  if (size == UTF8PROC_ERROR_NOMEM) throw std::bad_alloc();
  RIDGELINE_CHECK(size >= 0);  // the text is valid
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(mapped, &std::free);
  output.append(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(size));
}

// Nothing is put in order or composed across a starter, and so across a later character.
void append_normalized(std::string_view text, int options, std::string& output) {
  std::size_t begin = 0, at = 0;
  for_each_character(text, [&](char32_t c, std::string_view bytes) {
    if (is_later_character(c)) {
      append_mapped(text.substr(begin, at - begin), options, output);
      output += bytes;
      begin = at + bytes.size();
    }
    at += bytes.size();
  });
  append_mapped(text.substr(begin), options, output);
}

// Most text is NFC already: of the rest, what is not inert, with the character before it,
// which it may be composed with.
std::string normalize_to_nfc(std::string_view text) {
  std::string normalized;
  normalized.reserve(text.size());
  std::size_t copied = 0, previous = 0, at = 0;
  while (at < text.size()) {
    const Utf8Step step = utf8_step(text.substr(at));
    if (is_inert_in_nfc(step.code_point)) {
      previous = at;
      at += step.length_bytes;
      continue;
    }
    const std::size_t begin = std::max(previous, copied);
    normalized += text.substr(copied, begin - copied);
    while (at < text.size()) {
      const Utf8Step next = utf8_step(text.substr(at));
      if (is_inert_in_nfc(next.code_point)) break;
      at += next.length_bytes;
    }
    append_normalized(text.substr(begin, at - begin), UTF8PROC_STABLE | UTF8PROC_COMPOSE,
                      normalized);
    copied = at;
  }
  normalized += text.substr(copied);
  return normalized;
}

}  // namespace

bool is_number(char32_t c) {
  const auto cat = category(c);
  return cat == UTF8PROC_CATEGORY_ND || cat == UTF8PROC_CATEGORY_NL || cat == UTF8PROC_CATEGORY_NO;
}

bool is_mark(char32_t c) {
  const auto cat = category(c);
  if (is_later_character(c)) return false;
  return cat == UTF8PROC_CATEGORY_MN || cat == UTF8PROC_CATEGORY_MC || cat == UTF8PROC_CATEGORY_ME;
}

std::string normalize(std::string_view text, NormalizationForm form) {
  int options = UTF8PROC_STABLE;
  switch (form) {
    case NormalizationForm::kNfc:
      return normalize_to_nfc(text);
    case NormalizationForm::kNfd:
      options |= UTF8PROC_DECOMPOSE;
      break;
    case NormalizationForm::kNfkc:
      options |= UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
      break;
    case NormalizationForm::kNfkd:
      options |= UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
      break;
  }
  std::string normalized;
  append_normalized(text, options, normalized);
  return normalized;
}

std::size_t first_grapheme_bytes(std::string_view text) {
  utf8proc_int32_t state = 0;
  Utf8Step step = utf8_step(text);
  std::size_t at = step.length_bytes;
  while (at < text.size()) {
    const Utf8Step next = utf8_step(text.substr(at));
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(step.code_point),
                                         static_cast<utf8proc_int32_t>(next.code_point), &state)) {
      break;
    }
    at += next.length_bytes;
    step = next;
  }
  return at;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::size_t found = text.find(from);
  if (found == std::string::npos) return;
  std::string output;
  std::size_t at = 0;
  for (; found != std::string::npos; found = text.find(from, at)) {
    output.append(text, at, found - at).append(to);
    at = found + from.size();
  }
  text = output.append(text, at);
}

}  // namespace ridgeline
