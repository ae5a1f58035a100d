#pragma once

#include <string>
#include <string_view>

#include "ridgeline/base/result.h"

namespace ridgeline::load {

Result<std::string> read_text_file(const std::string& path);
/// Takes the first line off `text`, and gives it without its end.
std::string_view next_line(std::string_view& text);

}  // namespace ridgeline::load
