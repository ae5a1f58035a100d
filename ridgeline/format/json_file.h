#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "ridgeline/base/result.h"

namespace ridgeline {

/// The text of a file of at most `bytes_max` bytes. Errors name the file.
Result<std::string> read_small_text(const std::string& path, std::size_t bytes_max);

/// A JSON object; `name` names the text in errors. Nesting and size are bounded by what the
/// text can hold; JSON of other kinds is an error.
Result<nlohmann::json> parse_json_object(std::string_view text, const std::string& name);
Result<nlohmann::json> read_json_object(const std::string& path, std::size_t bytes_max);

}  // namespace ridgeline
