#pragma once

#include <atomic>
#include <csignal>

namespace ridgeline::cli {

/// While it lives, the first Ctrl-C (or SIGTERM) asks for an orderly end, the second ends the
/// program. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  /// Whether one came.
  const std::atomic<bool>& stop() const;

 private:
  struct sigaction before_int_ {};
  struct sigaction before_term_ {};
};

}  // namespace ridgeline::cli
