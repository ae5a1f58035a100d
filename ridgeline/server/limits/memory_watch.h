#pragma once

#include <cstdint>
#include <optional>

#include "ridgeline/engine/request.h"

namespace ridgeline {

struct ProcessMemory {
  std::uint64_t resident_bytes = 0;  ///< of this process
  std::uint64_t limit_bytes = 0;     ///< --memory-limit, or the cgroup's or machine's memory
  double use = 0;                    ///< how much of the limit is gone, 0 to 1
};

/// How near this process is to its end by memory. With a limit of its own that is its resident
/// set; else what cgroup and machine have left, page cache that can be dropped not counted as used.
/// Reading that costs some 0.1 ms, so it is done four times a second at most. One thread's.
class MemoryWatch {
 public:
  /// `limit_bytes` 0: what the cgroup or the machine allows.
  explicit MemoryWatch(std::uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}
  const ProcessMemory& read(Clock::time_point now = Clock::now());

 private:
  const std::uint64_t limit_bytes_;
  std::optional<Clock::time_point> read_at_;
  ProcessMemory last_;
};

}  // namespace ridgeline
