#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace ridgeline {

/// Threads that wait for the next parallel loop: they spin for some microseconds,
/// then sleep. The caller is worker 0 and works too, so a pool of one has no thread
/// at all. One loop at a time; a loop inside a loop of the same pool is a bug. Every
/// worker, the caller included, runs under FixedFpState.
///
/// A loop waits only for workers that took part in it: one whose core is busy with
/// another process arrives too late, finds the loop closed, and costs nothing. So a
/// loop of short items may run on fewer workers than size(), even on the caller alone.
class ThreadPool {
 public:
  /// threads >= 1. With pin, worker i is bound to the i-th of topology().usable_cpus,
  /// provided that the pool fills the usable cores: a smaller pool stays unbound, since
  /// two such processes would meet on the same cores. The caller's binding is set by
  /// its first loop and undone when the pool goes or another thread starts a loop;
  /// threads that it creates meanwhile inherit it.
  explicit ThreadPool(int threads, bool pin = true);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Workers, the caller included: fewer than asked for where the system refused a thread.
  int size() const;

  /// Calls body(item, worker) once for every item in [0, items), items < 2^31, and
  /// returns when all are done. Each worker has a stretch of consecutive items and goes
  /// through it in ascending order; who ends early takes half of what another has left.
  /// A loop of one item, or a pool of one, runs on the caller without waking anyone. The
  /// body does not throw: an exception that leaves it ends the program.
  template <class Body>
  void parallel_for(std::int64_t items, Body&& body) {
    using B = std::remove_reference_t<Body>;
    run(items, const_cast<void*>(static_cast<const void*>(std::addressof(body))),
        [](void* context, std::int64_t item, int worker) noexcept {
          (*static_cast<B*>(context))(item, worker);
        });
  }

 private:
  using Trampoline = void (*)(void* context, std::int64_t item, int worker) noexcept;
  void run(std::int64_t items, void* context, Trampoline call);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ridgeline
