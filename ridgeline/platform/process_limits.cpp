#include "ridgeline/platform/process_limits.h"

#include "ridgeline/platform/system_file.h"

namespace ridgeline {

ProcessLimits read_process_limits(const std::string& root) {
  const std::string text = read_system_file(root + "/proc/self/limits");
  // "unlimited" is no number.
  return {.open_files = field(text, "Max open files"),
          .locked_bytes = field(text, "Max locked memory"),
          .address_bytes = field(text, "Max address space")};
}

}  // namespace ridgeline
