#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"

namespace ridgeline {

/// A GGUF v2 or v3 file (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), mapped
/// and checked: every count, length, offset and shape against the file's size before it is
/// used. Of a file that was split, named NAME-00001-of-00003.gguf, any part may be given;
/// all are opened, and errors say which one is missing or belongs to something else.
/// Tensor data stays in the mapping, aligned to 8 bytes or more. A tensor of an
/// unsupported type is an error that names both.
Result<Checkpoint> open_gguf(const std::string& path);
/// One file's bytes, which the caller keeps alive (tests, fuzzing). `path` names them in errors.
Result<Checkpoint> parse_gguf(std::span<const std::byte> bytes, const std::string& path);

}  // namespace ridgeline
