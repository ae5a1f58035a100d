#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

#include "ridgeline/server/limits/degradation_ladder.h"
#include "ridgeline/server/limits/memory_watch.h"

namespace ridgeline {

/// A thread that shows the engine's state and the memory to the ladder, four times a second.
class PressureMonitor {
 public:
  /// `stats`: EngineLoop::stats(). `memory_limit_bytes`: see MemoryWatch. Both outlive it.
  PressureMonitor(DegradationLadder& ladder, std::function<EngineStats()> stats,
                  std::uint64_t memory_limit_bytes,
                  std::chrono::milliseconds interval = std::chrono::milliseconds(250));
  ~PressureMonitor();
  PressureMonitor(const PressureMonitor&) = delete;
  PressureMonitor& operator=(const PressureMonitor&) = delete;

  /// As of the last look; from any thread.
  ProcessMemory memory() const;

 private:
  void look();
  void run();

  DegradationLadder& ladder_;
  const std::function<EngineStats()> stats_;
  const std::chrono::milliseconds interval_;
  MemoryWatch watch_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable ended_;
  bool ending_ = false;
  ProcessMemory memory_;

  std::thread thread_;
};

}  // namespace ridgeline
