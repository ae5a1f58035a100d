#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"

namespace ridgeline {

/// One GGUF file, alone; see gguf.h. Keeps views of `bytes`.
Result<Checkpoint::Contents> parse_gguf_contents(std::span<const std::byte> bytes,
                                                 const std::string& path);

}  // namespace ridgeline
