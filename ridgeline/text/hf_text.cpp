#include "ridgeline/text/hf_text.h"

#include <utf8proc.h>

#include <cstdlib>
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

bool is_nfc(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80) {
      ++at;
      continue;
    }
    const Utf8Step step = utf8_step(text.substr(at));
    if (!is_inert_in_nfc(step.code_point)) return false;
    at += step.length_bytes;
  }
  return true;
}

}  // namespace

bool is_number(char32_t c) {
  const auto cat = category(c);
  return cat == UTF8PROC_CATEGORY_ND || cat == UTF8PROC_CATEGORY_NL || cat == UTF8PROC_CATEGORY_NO;
}

bool is_mark(char32_t c) {
  const auto cat = category(c);
  return cat == UTF8PROC_CATEGORY_MN || cat == UTF8PROC_CATEGORY_MC || cat == UTF8PROC_CATEGORY_ME;
}

std::string normalize(std::string_view text, NormalizationForm form) {
  if (form == NormalizationForm::kNfc && is_nfc(text)) return std::string(text);
  int options = UTF8PROC_STABLE;
  switch (form) {
    case NormalizationForm::kNfc:
      options |= UTF8PROC_COMPOSE;
      break;
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
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                             static_cast<utf8proc_ssize_t>(text.size()), &mapped,
                                             static_cast<utf8proc_option_t>(options));
  if (size == UTF8PROC_ERROR_NOMEM) throw std::bad_alloc();
  RIDGELINE_CHECK(size >= 0);  // the text is valid
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(mapped, &std::free);
  return {reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(size)};
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
