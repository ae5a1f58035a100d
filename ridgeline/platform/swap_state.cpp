#include "ridgeline/platform/swap_state.h"

#include <algorithm>

#include "ridgeline/platform/system_file.h"

namespace ridgeline {

SwapState read_swap_state(const std::string& root) {
  const std::string info = read_system_file(root + "/proc/meminfo");
  SwapState swap;
  swap.total_bytes = field(info, "SwapTotal").value_or(0) << 10;
  const std::uint64_t free_bytes = field(info, "SwapFree").value_or(0) << 10;
  swap.used_bytes = swap.total_bytes - std::min(swap.total_bytes, free_bytes);
  if (const auto value = leading_number(read_system_file(root + "/proc/sys/vm/swappiness")))
    swap.swappiness = static_cast<int>(*value);
  return swap;
}

}  // namespace ridgeline
