#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/text/jinja/runtime.h"
#include "ridgeline/text/jinja/unicode.h"

namespace ridgeline::jinja {

// Python's ways to take texts apart and put them together, shared by methods and filters.

/// Where `part` first stands, or npos. Linear in the text's length however repetitive
/// the two are, which std::string_view::find is not.
std::size_t find_text(std::string_view text, std::string_view part);
/// Searching from the right is not linear: its steps are counted beforehand.
void step_over_search_from_right(Runtime& runtime, std::string_view text, std::string_view part);

/// str.split(separator, most): at most that many cuts, all if negative.
std::vector<std::string_view> split_at(std::string_view text, std::string_view separator,
                                       std::int64_t most, bool from_right);
/// str.split(): at runs of spaces, of which those at the ends count for nothing.
std::vector<std::string_view> split_at_spaces(std::string_view text, std::int64_t most,
                                              bool from_right);
/// str.replace(): all if `most` is negative.
Value replaced(Runtime& runtime, std::string_view text, std::string_view from, std::string_view to,
               std::int64_t most, bool markup);
/// Filled up to `width` characters at the ends named.
Value justified(Runtime& runtime, const Value& text, std::int64_t width, std::string_view fill,
                Ends ends);

}  // namespace ridgeline::jinja
