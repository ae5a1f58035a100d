#pragma once

#include <cstdint>
#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"

namespace ridgeline {

/// How positions are stretched, where someone knows better than the file (llama.cpp's
/// --rope-scaling and what goes with it). What is 0 or empty stays as the file has it.
struct RopeOverride {
  std::string scaling{};              ///< "none", "linear" or "yarn"
  double factor = 0;                  ///< contexts become so many times as long
  double base = 0;                    ///< of the frequencies
  std::int64_t original_context = 0;  ///< of the first training, for YaRN

  bool empty() const {
    return scaling.empty() && factor == 0 && base == 0 && original_context == 0;
  }
};

/// The checkpoint with its metadata changed; a stretched model's context length is its
/// original context times the factor. Errors: an unknown kind of scaling, YaRN without a
/// factor, a model whose positions do not rotate.
Result<Checkpoint> override_rope(Checkpoint checkpoint, const RopeOverride& wanted);

}  // namespace ridgeline
