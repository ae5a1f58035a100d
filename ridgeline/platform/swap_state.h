#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ridgeline {

/// Memory that the system may move to disk, weights among it.
struct SwapState {
  std::uint64_t total_bytes = 0, used_bytes = 0;
  std::optional<int> swappiness;  ///< 0 to 200: how readily anonymous memory is moved there
};
SwapState read_swap_state(const std::string& root);

}  // namespace ridgeline
