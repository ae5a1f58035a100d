#pragma once

#include <string>
#include <string_view>

#include "ridgeline/format/gguf.h"

namespace ridgeline::gguf {

/// A name out of a file as an error message may show it: in single quotes, what is not
/// printable ASCII escaped, cut after 80 bytes.
std::string quoted(std::string_view name);

/// "uint32", "float64", "string"; "type 77" for an unknown id.
std::string type_text(GgufType type);

}  // namespace ridgeline::gguf
