#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ridgeline::jinja {

// Python's strings are sequences of code points; ours are UTF-8. Bytes that are no
// UTF-8 count as one character each and are kept. Properties are those of Unicode 14
// (Python 3.11), in the table that tools/make_case_table.py writes.

std::size_t code_points(std::string_view text);
/// Where the code point of that index begins; the text's end if there are fewer.
std::size_t byte_offset(std::string_view text, std::size_t index);
/// One view per code point.
std::vector<std::string_view> split_code_points(std::string_view text);
/// Bytes of the code point at the front of a text that is not empty.
std::size_t first_length(std::string_view text);
char32_t first_code_point(std::string_view text);

bool is_space(char32_t c);      ///< str.isspace
bool is_printable(char32_t c);  ///< str.isprintable: what repr() leaves as it is
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_digit(char32_t c);
bool is_numeric(char32_t c);
bool is_alnum(char32_t c);
bool is_lower(char32_t c);
bool is_upper(char32_t c);

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_title_case(std::string_view text);  ///< str.title
std::string capitalize(std::string_view text);
std::string swap_case(std::string_view text);

/// Without what `is_stripped` accepts at the ends named.
enum class Ends : std::uint8_t { kLeft = 1, kRight = 2, kBoth = 3 };
std::string_view strip_spaces(std::string_view text, Ends ends);
std::string_view strip_characters(std::string_view text, std::string_view characters, Ends ends);

/// str.splitlines: at every line boundary Python knows, not only at \n.
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

}  // namespace ridgeline::jinja
