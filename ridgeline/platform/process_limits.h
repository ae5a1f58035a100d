#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ridgeline {

/// What the shell or the service manager allows this process (ulimit); absent: no limit, or not
/// known.
struct ProcessLimits {
  std::optional<std::uint64_t> open_files;
  std::optional<std::uint64_t> locked_bytes;
  std::optional<std::uint64_t> address_bytes;
};
/// The soft limits in /proc/self/limits.
ProcessLimits read_process_limits(const std::string& root);

}  // namespace ridgeline
