#pragma once

#include <optional>
#include <string_view>

#include "ridgeline/model/model_config.h"

namespace ridgeline {

/// How the hidden states of a text's tokens become one vector.
struct EmbedOptions {
  /// Absent or kNone: as the model's file says, and the mean where it says nothing.
  std::optional<Pooling> pooling{};
  bool normalize = true;  ///< to a length of 1
};

/// "mean", "cls" or "last"; absent for any other name.
std::optional<Pooling> pooling_from_name(std::string_view name);
std::string_view name(Pooling pooling);

}  // namespace ridgeline
