#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ridgeline {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;
inline constexpr std::string_view kReplacementUtf8 = "\xEF\xBF\xBD";

/// What stands at the front of a text that should be UTF-8.
struct Utf8Step {
  enum class Status : std::uint8_t {
    kCharacter,  ///< a well-formed character (Unicode 15, table 3-7)
    kInvalid,    ///< bytes that can begin no character, whatever follows
    kTruncated,  ///< the text ends within a character that is well-formed so far
  };
  Status status;
  /// Of the character; of the maximal subpart (Unicode 15, definition D93b), which
  /// one U+FFFD stands for; of what is there.
  std::uint8_t length_bytes;
  char32_t code_point;  ///< of kCharacter; else U+FFFD
};

/// `text` is not empty.
Utf8Step utf8_step(std::string_view text);

/// Length of the longest prefix that is well-formed UTF-8.
std::size_t utf8_valid_prefix_bytes(std::string_view text);

/// Length of the longest prefix in which no well-formed character begins.
std::size_t utf8_invalid_prefix_bytes(std::string_view text);

void append_utf8(char32_t code_point, std::string& text);

}  // namespace ridgeline
