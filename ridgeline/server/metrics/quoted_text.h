#pragma once

#include <string>
#include <string_view>

namespace ridgeline {

/// A JSON string, with its quotes. Control characters (of C1, too, which terminals obey),
/// line and paragraph separators are escaped; what is not UTF-8 becomes U+FFFD. So it is one
/// line for whoever splits lines, and a terminal shows it as it is.
void append_quoted(std::string_view text, std::string& out);

}  // namespace ridgeline
