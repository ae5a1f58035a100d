#include "ridgeline/server/metrics/quoted_text.h"

#include <fmt/format.h>

#include <iterator>

#include "ridgeline/text/utf8.h"

namespace ridgeline {

void append_quoted(std::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    const char32_t c = step.code_point;
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      append_utf8(c, out);
    }
    text.remove_prefix(step.length_bytes);
  }
  out += '"';
}

}  // namespace ridgeline
