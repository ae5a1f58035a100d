#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace ridgeline {

/// Threads that wait for the next parallel loop: they spin for a few microseconds,
/// then sleep. The caller is worker 0 and works too, so a pool of one has no thread
/// at all. One loop at a time, always started from the same thread. Every worker
/// runs with the same floating-point state (MXCSR: round to nearest, no FTZ/DAZ).
class ThreadPool {
 public:
  /// threads >= 1. With pin, worker i is bound to the i-th of usable_cpus().
  explicit ThreadPool(int threads, bool pin = true);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;

  /// Calls body(item, worker) once for every item in [0, items), handed out
  /// dynamically in ascending order, and returns when all are done. A loop of one
  /// item, or a pool of one, runs on the caller without waking anyone.
  template <class Body>
  void parallel_for(std::int64_t items, Body&& body) {
    using B = std::remove_reference_t<Body>;
    run(items, const_cast<void*>(static_cast<const void*>(&body)),
        [](void* context, std::int64_t item, int worker) {
          (*static_cast<B*>(context))(item, worker);
        });
  }

 private:
  using Trampoline = void (*)(void* context, std::int64_t item, int worker);
  void run(std::int64_t items, void* context, Trampoline call);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ridgeline
