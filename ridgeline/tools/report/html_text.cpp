#include "ridgeline/tools/report/html_text.h"

#include <algorithm>

#include "ridgeline/text/utf8.h"

namespace ridgeline::report {

std::string escape_html(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    const std::string_view bytes = text.substr(0, step.length_bytes);
    text.remove_prefix(step.length_bytes);
    const char32_t c = step.code_point;
    const bool is_noncharacter = (c & 0xFFFE) == 0xFFFE;  // XML has none of U+FFFE and U+FFFF
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\'')
      out += "&#39;";
    else if (step.status != Utf8Step::Status::kCharacter || c < 0x20 || (c >= 0x7F && c < 0xA0) ||
             is_noncharacter)
      out += kReplacementUtf8;
    else
      out += bytes;
  }
  return out;
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace ridgeline::report
