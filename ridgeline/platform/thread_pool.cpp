#include "ridgeline/platform/thread_pool.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <limits>
#include <system_error>
#include <thread>
#include <vector>

#include "ridgeline/base/check.h"
#include "ridgeline/platform/fp_state.h"
#include "ridgeline/platform/topology.h"

namespace ridgeline {
namespace {

// The gate: one word that says whether a loop is open, how many workers are inside,
// and which loop it is.
//
//   31        17   16    15   14             0
//   [  number   | stop | open |    inside     ]
//
// A worker enters by a compare-and-swap that adds one to `inside` while `open` is set,
// so the caller, who clears `open`, knows exactly whom to wait for. The number keeps a
// worker from entering the same loop twice; it may wrap, since the worst that follows
// is that a worker stays out of one loop.
constexpr std::uint32_t kInsideOne = 1;
constexpr std::uint32_t kInsideMask = (1u << 15) - 1;
constexpr std::uint32_t kOpen = 1u << 15;
constexpr std::uint32_t kStop = 1u << 16;
constexpr std::uint32_t kNumberOne = 1u << 17;
constexpr std::uint32_t kNumberMask = ~(kNumberOne - 1);
constexpr int kThreadsMax = 4096;

// Between two loops of a forward pass lie a few microseconds, and waking a sleeper
// takes 5 to 50: so spin through the former and sleep through anything longer.
constexpr std::chrono::microseconds kSpin{50};
// With more threads than CPUs a spinning thread holds up the one it waits for.
constexpr std::chrono::microseconds kSpinOversubscribed{1};

void relax_cpu() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/// Whether done() came true within the budget.
template <class Done>
bool spin_until(Done&& done, std::chrono::nanoseconds budget) {
  constexpr int kPausesPerClockRead = 32;
  if (done()) return true;
  const auto deadline = std::chrono::steady_clock::now() + budget;
  do {
    for (int i = 0; i < kPausesPerClockRead; ++i) {
      relax_cpu();
      if (done()) return true;
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

pid_t this_thread_id() {
  thread_local const pid_t id = ::gettid();
  return id;
}

/// A thread's affinity mask, of whatever width the kernel uses.
class AffinityMask {
 public:
  static AffinityMask of_thread(pid_t thread) {
    AffinityMask mask;
    while (::sched_getaffinity(thread, mask.bytes(), mask.set()) != 0) {
      if (errno != EINVAL || mask.words_.size() >= kWordsMax) return AffinityMask{};
      mask.words_.resize(mask.words_.size() * 2);
    }
    mask.valid_ = true;
    return mask;
  }
  static AffinityMask of_cpu(int cpu) {
    AffinityMask mask;
    const auto bits = static_cast<std::size_t>(cpu) + 1;
    if (bits > mask.bytes() * 8) mask.words_.resize((bits + kWordBits - 1) / kWordBits);
    CPU_SET_S(static_cast<std::size_t>(cpu), mask.bytes(), mask.set());
    mask.valid_ = true;
    return mask;
  }
  /// A refusal (the cpuset changed, the thread ended) leaves the thread where it is:
  /// binding is for speed only.
  void apply(pid_t thread) {
    if (valid_) static_cast<void>(::sched_setaffinity(thread, bytes(), set()));
  }

 private:
  static constexpr std::size_t kWordBits = 8 * sizeof(unsigned long);
  static constexpr std::size_t kWordsMax = 1 << 12;

  std::size_t bytes() const { return words_.size() * sizeof(unsigned long); }
  cpu_set_t* set() { return reinterpret_cast<cpu_set_t*>(words_.data()); }

  std::vector<unsigned long> words_ = std::vector<unsigned long>(1024 / kWordBits);
  bool valid_ = false;
};

/// The items that a worker has still to do: [begin, end). It takes them from the
/// front; a worker that has none left takes half of another's from the back, so that
/// everyone walks over few long stretches (memory is read a third faster than in
/// stretches of 100 KB) and still all end together. A worker that came too late for a
/// loop finds its items gone.
class alignas(64) Share {
 public:
  void set(std::uint64_t begin, std::uint64_t end) {
    span_.store(begin << 32 | end, std::memory_order_relaxed);
  }
  /// The first item, or -1.
  std::int64_t take() {
    std::uint64_t span = span_.load(std::memory_order_relaxed);
    while (begin_of(span) < end_of(span))
      if (span_.compare_exchange_weak(span, span + kBeginOne, std::memory_order_relaxed))
        return static_cast<std::int64_t>(begin_of(span));
    return -1;
  }
  /// Moves the second half of the other's items here. False if there are none.
  bool take_half_of(Share& other) {
    std::uint64_t span = other.span_.load(std::memory_order_relaxed);
    while (begin_of(span) < end_of(span)) {
      const std::uint64_t middle = begin_of(span) + (end_of(span) - begin_of(span)) / 2;
      if (other.span_.compare_exchange_weak(span, begin_of(span) << 32 | middle,
                                            std::memory_order_relaxed)) {
        set(middle, end_of(span));
        return true;
      }
    }
    return false;
  }

 private:
  static constexpr std::uint64_t kBeginOne = std::uint64_t{1} << 32;
  static std::uint64_t begin_of(std::uint64_t span) { return span >> 32; }
  static std::uint64_t end_of(std::uint64_t span) { return span & 0xffffffff; }
  std::atomic<std::uint64_t> span_{0};
};

}  // namespace

struct ThreadPool::State {
  // What spinning workers read, and what they need next, share a line.
  alignas(64) std::atomic<std::uint32_t> gate{0};
  void* context = nullptr;
  Trampoline call = nullptr;
  std::vector<Share> shares;  ///< by worker

  alignas(64) std::atomic<int> sleepers{0};
  std::atomic<std::uint32_t> caller_sleeps{0};

  alignas(64) std::atomic<bool> in_loop{false};
  std::chrono::nanoseconds spin = kSpin;
  std::vector<int> cpus;  ///< cpus[i] is worker i's; empty: not bound
  pid_t bound_caller = 0;
  AffinityMask caller_mask;
  std::vector<std::thread> threads;

  void start(int count);
  void share_out(std::int64_t items);
  void work(int worker);
  void worker_main(int worker);
  std::uint32_t await_loop(std::uint32_t seen);
  void leave();
  void open();
  void await_workers();
  void bind_caller();
  void unbind_caller();
};

void ThreadPool::State::start(int count) {
  // Signals belong to the host's own threads, but for those that a thread's own fault
  // raises: debuggers and sanitizers want to see them.
  sigset_t blocked;
  sigset_t before;
  sigfillset(&blocked);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGPROF}) {
    sigdelset(&blocked, fault);
  }
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  threads.reserve(static_cast<std::size_t>(count - 1));
  shares = std::vector<Share>(static_cast<std::size_t>(count));
  for (int worker = 1; worker < count; ++worker) {
    try {
      threads.emplace_back([this, worker] { worker_main(worker); });
    } catch (const std::system_error&) {
      break;  // a limit on threads: size() says how many there are
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void ThreadPool::State::share_out(std::int64_t items) {
  RIDGELINE_CHECK(items <= std::numeric_limits<std::int32_t>::max());
  const std::size_t workers = threads.size() + 1;
  for (std::size_t i = 0; i < workers; ++i)
    shares[i].set(static_cast<std::size_t>(items) * i / workers,
                  static_cast<std::size_t>(items) * (i + 1) / workers);
}

void ThreadPool::State::work(int worker) {
  const std::size_t workers = threads.size() + 1;
  const auto self = static_cast<std::size_t>(worker);
  Share& own = shares[self];
  for (;;) {
    for (std::int64_t item = own.take(); item >= 0; item = own.take()) call(context, item, worker);
    std::size_t i = 1;
    while (i < workers && !own.take_half_of(shares[(self + i) % workers])) ++i;
    if (i == workers) return;
  }
}

void ThreadPool::State::worker_main(int worker) {
  char name[16];
  std::snprintf(name, sizeof name, "ridgeline-%d", worker % 10000);
  pthread_setname_np(pthread_self(), name);
  if (!cpus.empty()) AffinityMask::of_cpu(cpus[static_cast<std::size_t>(worker)]).apply(0);
  const FixedFpState fp_state;

  std::uint32_t seen = 0;
  for (;;) {
    std::uint32_t word = await_loop(seen);
    if ((word & kStop) != 0) return;
    seen = word & kNumberMask;
    // While others come and go the loop may close; then there is nothing left to do.
    while ((word & kOpen) != 0 && (word & kNumberMask) == seen) {
      if (gate.compare_exchange_weak(word, word + kInsideOne, std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
        work(worker);
        leave();
        break;
      }
    }
  }
}

/// The gate's word as soon as it shows an open loop other than `seen`, or the end.
std::uint32_t ThreadPool::State::await_loop(std::uint32_t seen) {
  std::uint32_t word = 0;
  const auto called = [&] {
    word = gate.load(std::memory_order_seq_cst);
    return (word & kStop) != 0 || ((word & kOpen) != 0 && (word & kNumberMask) != seen);
  };
  while (!spin_until(called, spin)) {
    // Counted before the word is looked at again: open() stores the word before it
    // looks at the count, so one of the two sees the other.
    sleepers.fetch_add(1, std::memory_order_seq_cst);
    if (!called()) gate.wait(word, std::memory_order_seq_cst);
    sleepers.fetch_sub(1, std::memory_order_relaxed);
  }
  return word;
}

void ThreadPool::State::leave() {
  const std::uint32_t word = gate.fetch_sub(kInsideOne, std::memory_order_seq_cst) - kInsideOne;
  if ((word & (kOpen | kInsideMask)) != 0) return;
  if (caller_sleeps.load(std::memory_order_seq_cst) != 0) {
    caller_sleeps.store(0, std::memory_order_seq_cst);
    caller_sleeps.notify_one();
  }
}

void ThreadPool::State::open() {
  const std::uint32_t number = (gate.load(std::memory_order_relaxed) & kNumberMask) + kNumberOne;
  gate.store(number | kOpen, std::memory_order_seq_cst);
  if (sleepers.load(std::memory_order_seq_cst) != 0) gate.notify_all();
}

void ThreadPool::State::await_workers() {
  const auto all_left = [&] { return (gate.load(std::memory_order_seq_cst) & kInsideMask) == 0; };
  while (!spin_until(all_left, spin)) {
    caller_sleeps.store(1, std::memory_order_seq_cst);
    if (!all_left()) caller_sleeps.wait(1, std::memory_order_seq_cst);
    caller_sleeps.store(0, std::memory_order_relaxed);
  }
}

void ThreadPool::State::bind_caller() {
  const pid_t caller = this_thread_id();
  if (cpus.empty() || caller == bound_caller) return;
  unbind_caller();
  caller_mask = AffinityMask::of_thread(caller);
  AffinityMask::of_cpu(cpus[0]).apply(caller);
  bound_caller = caller;
}

void ThreadPool::State::unbind_caller() {
  if (bound_caller != 0) caller_mask.apply(bound_caller);
  bound_caller = 0;
}

ThreadPool::ThreadPool(int threads, bool pin) : state_(std::make_unique<State>()) {
  RIDGELINE_CHECK(threads >= 1 && threads <= kThreadsMax);
  const Topology& machine = topology();
  const int usable = static_cast<int>(machine.usable_cpus.size());
  const double quota = machine.cpu_quota.value_or(usable);
  if (threads > usable || threads > std::ceil(quota)) state_->spin = kSpinOversubscribed;
  if (pin && threads > 1 && threads >= machine.physical_cores && threads <= usable &&
      quota >= machine.physical_cores) {
    state_->cpus = machine.usable_cpus;
  }
  state_->start(threads);
}

ThreadPool::~ThreadPool() {
  RIDGELINE_CHECK(!state_->in_loop.load(std::memory_order_relaxed));
  state_->gate.fetch_or(kStop, std::memory_order_seq_cst);
  state_->gate.notify_all();
  for (std::thread& thread : state_->threads) thread.join();
  state_->unbind_caller();
}

int ThreadPool::size() const { return static_cast<int>(state_->threads.size()) + 1; }

void ThreadPool::run(std::int64_t items, void* context, Trampoline call) {
  State& state = *state_;
  RIDGELINE_CHECK(!state.in_loop.exchange(true, std::memory_order_acquire));
  {
    const FixedFpState fp_state;
    if (items <= 1 || state.threads.empty()) {
      for (std::int64_t item = 0; item < items; ++item) call(context, item, 0);
    } else {
      state.bind_caller();
      state.share_out(items);
      state.context = context;
      state.call = call;
      state.open();
      state.work(0);
      state.gate.fetch_and(~kOpen, std::memory_order_acq_rel);
      state.await_workers();
    }
  }
  state.in_loop.store(false, std::memory_order_release);
}

}  // namespace ridgeline
