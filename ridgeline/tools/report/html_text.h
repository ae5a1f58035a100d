#pragma once

#include <string>
#include <string_view>

namespace ridgeline::report {

/// `text` as HTML text or a quoted attribute: markup and control characters cannot come out, and
/// what is no UTF-8 becomes U+FFFD. The same will do for XML.
std::string escape_html(std::string_view text);

/// Characters of UTF-8.
std::size_t characters(std::string_view text);

}  // namespace ridgeline::report
