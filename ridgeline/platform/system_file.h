#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// Reading what Linux says about itself under /proc and /sys. Functions that read such files
// take a `root` that is put before every path ("" is this machine), so that tests can
// describe machines they do not run on.

namespace ridgeline {

/// The file's text, of which the first MiB; empty if there is none (a kernel without that
/// feature, or one that does not let us see it).
std::string read_system_file(const std::string& path);

/// Cuts `text` at the first `separator` and returns what stood before it.
std::string_view take_until(std::string_view& text, char separator);
std::string_view trimmed(std::string_view text);
/// The number that `text` begins with, behind blanks.
std::optional<std::uint64_t> leading_number(std::string_view text);
/// What stands behind `key` in a file of lines "key value" or "key: value unit"; empty if it is
/// not there.
std::string_view field_text(std::string_view text, std::string_view key);
/// The number there.
std::optional<std::uint64_t> field(std::string_view text, std::string_view key);
/// "a [b] c": b. The way in which sysfs shows a choice.
std::string_view bracketed(std::string_view text);

}  // namespace ridgeline
