#include "ridgeline/server/limits/memory_watch.h"

#include <algorithm>

#include "ridgeline/platform/topology.h"

namespace ridgeline {

const ProcessMemory& MemoryWatch::read(Clock::time_point now) {
  constexpr std::chrono::milliseconds kInterval{250};
  if (read_at_ && now - *read_at_ < kInterval) return last_;
  read_at_ = now;
  last_.resident_bytes = resident_bytes();
  std::uint64_t used = last_.resident_bytes;
  last_.limit_bytes = limit_bytes_;
  if (limit_bytes_ == 0) {
    const MemoryInfo info = memory_info();
    last_.limit_bytes = info.total_bytes;
    used = info.total_bytes - std::min(info.total_bytes, info.available_bytes);
  }
  last_.use = last_.limit_bytes == 0
                  ? 0
                  : static_cast<double>(used) / static_cast<double>(last_.limit_bytes);
  return last_;
}

}  // namespace ridgeline
