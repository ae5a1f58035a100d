#pragma once

#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/platform/mapped_file.h"

namespace ridgeline {

/// A tensor of a safetensors file, in its own terms.
struct StoredTensor {
  std::string name;
  std::string dtype;  ///< as the file writes it: "F32", "BF16", "U8", ...
  std::vector<std::int64_t> shape;
  std::span<const std::byte> data;
  std::size_t file = 0;  ///< which of several files: set by who opens them
};

/// A safetensors file (https://github.com/huggingface/safetensors, "Format"), mapped and
/// checked: the header's length, every shape against its bytes, no byte in two tensors.
struct SafetensorsFile {
  MappedFile mapped;
  std::vector<StoredTensor> tensors;  ///< in the order of their data

  static Result<SafetensorsFile> open(const std::string& path);
};

/// Of bytes that the caller keeps alive (tests, fuzzing).
Result<std::vector<StoredTensor>> parse_safetensors(std::span<const std::byte> bytes,
                                                    const std::string& path);

}  // namespace ridgeline
