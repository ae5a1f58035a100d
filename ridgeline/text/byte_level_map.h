#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ridgeline {

/// GPT-2's reversible map between bytes and visible characters, in which byte-level
/// vocabularies are written: printable Latin-1 stands for itself, the other 68 bytes
/// for U+0100 onwards in order (so a space is U+0120, "Ġ").
char32_t byte_level_symbol(std::uint8_t byte);

/// The bytes that a token's text stands for; nothing if it has a character that
/// stands for no byte (then the text is no byte-level text).
std::optional<std::string> byte_level_decode(std::string_view token_text);
/// Appends them to `bytes`; false, and `bytes` is as it was, if there is such a character.
bool append_byte_level_decoded(std::string_view token_text, std::string& bytes);

}  // namespace ridgeline
