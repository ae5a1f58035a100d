#include "ridgeline/server/limits/pressure_monitor.h"

#include <utility>

namespace ridgeline {

PressureMonitor::PressureMonitor(DegradationLadder& ladder, std::function<EngineStats()> stats,
                                 std::uint64_t memory_limit_bytes,
                                 std::chrono::milliseconds interval)
    : ladder_(ladder), stats_(std::move(stats)), interval_(interval), watch_(memory_limit_bytes) {
  look();
  thread_ = std::thread([this] { run(); });
}

PressureMonitor::~PressureMonitor() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  ended_.notify_one();
  thread_.join();
}

ProcessMemory PressureMonitor::memory() const {
  const std::lock_guard lock(mutex_);
  return memory_;
}

void PressureMonitor::look() {
  const ProcessMemory memory = watch_.read();
  {
    const std::lock_guard lock(mutex_);
    memory_ = memory;
  }
  ladder_.update(stats_(), memory.use);
}

void PressureMonitor::run() {
  std::unique_lock lock(mutex_);
  while (!ended_.wait_for(lock, interval_, [this] { return ending_; })) {
    lock.unlock();
    look();
    lock.lock();
  }
}

}  // namespace ridgeline
