#include "ridgeline/platform/thread_pool.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#include "ridgeline/platform/fp_state.h"
#include "ridgeline/platform/topology.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::int64_t kSlower = 20;
#else
constexpr std::int64_t kSlower = 1;
#endif

namespace ridgeline {
namespace {

class ThreadPoolOfSize : public ::testing::TestWithParam<int> {};

TEST_P(ThreadPoolOfSize, RunsEveryItemOnceWhateverTheirNumber) {
  ThreadPool pool(GetParam());
  ASSERT_EQ(pool.size(), GetParam());
  for (const std::int64_t items : {0, 1, 2, 3, 7, 8, 9, 64, 1000, 100000}) {
    std::vector<int> runs(static_cast<std::size_t>(items));
    std::atomic<bool> worker_in_range{true};
    pool.parallel_for(items, [&](std::int64_t item, int worker) {
      ++runs[static_cast<std::size_t>(item)];
      if (worker < 0 || worker >= pool.size()) worker_in_range = false;
    });
    EXPECT_EQ(std::count(runs.begin(), runs.end(), 1), items);
    EXPECT_TRUE(worker_in_range);
  }
}

TEST_P(ThreadPoolOfSize, NoWorkerRunsTwoItemsAtATime) {
  ThreadPool pool(GetParam());
  std::vector<std::int64_t> counters(static_cast<std::size_t>(pool.size()) * 8);  // a line each
  const std::int64_t items = 200000 / kSlower;
  // Unsynchronised increments per worker: two threads under one number would lose some,
  // and the thread sanitizer would see them.
  pool.parallel_for(
      items, [&](std::int64_t, int worker) { ++counters[static_cast<std::size_t>(worker) * 8]; });
  EXPECT_EQ(std::accumulate(counters.begin(), counters.end(), std::int64_t{0}), items);
}

TEST_P(ThreadPoolOfSize, SmallLoopsOneAfterAnotherSeeEachOthersWrites) {
  ThreadPool pool(GetParam());
  const std::int64_t loops = 400000 / kSlower / (GetParam() > 2 ? 8 : 1);
  // Each loop reads what another item of the loop before wrote: plain memory, so only
  // the pool's own ordering makes it right.
  std::vector<std::int64_t> front{0, 0, 0};
  std::vector<std::int64_t> back{0, 0, 0};
  for (std::int64_t loop = 0; loop < loops; ++loop) {
    pool.parallel_for(3, [&](std::int64_t item, int) {
      const auto i = static_cast<std::size_t>(item);
      back[i] = front[(i + 1) % 3] + 1;
    });
    std::swap(front, back);
  }
  EXPECT_EQ(front, (std::vector<std::int64_t>{loops, loops, loops}));
}

TEST_P(ThreadPoolOfSize, WakesAfterItsWorkersFellAsleep) {
  ThreadPool pool(GetParam());
  for (int round = 0; round < 20; ++round) {
    // Longer than the workers spin, and around the moment when they go to sleep.
    std::this_thread::sleep_for(std::chrono::microseconds(20 + 10 * round));
    std::atomic<int> sum{0};
    pool.parallel_for(50, [&](std::int64_t item, int) { sum += static_cast<int>(item); });
    EXPECT_EQ(sum, 49 * 50 / 2);
  }
}

TEST_P(ThreadPoolOfSize, WaitsForAnItemThatOutlastsTheCallersSpin) {
  ThreadPool pool(GetParam());
  for (int round = 0; round < 5; ++round) {
    std::vector<int> done(4);
    pool.parallel_for(4, [&](std::int64_t item, int) {
      std::this_thread::sleep_for(std::chrono::milliseconds(item == 1 ? 4 : 1));
      done[static_cast<std::size_t>(item)] = 1;
    });
    EXPECT_EQ(std::count(done.begin(), done.end(), 1), 4);
  }
}

TEST_P(ThreadPoolOfSize, WorkersGoThroughLongStretches) {
  ThreadPool pool(GetParam());
  constexpr std::int64_t kItems = 10000;
  std::vector<std::vector<std::int64_t>> seen(static_cast<std::size_t>(pool.size()));
  pool.parallel_for(kItems, [&](std::int64_t item, int worker) {
    seen[static_cast<std::size_t>(worker)].push_back(item);
  });
  std::int64_t jumps = 0;
  for (const auto& items : seen)
    for (std::size_t i = 1; i < items.size(); ++i) jumps += items[i] != items[i - 1] + 1;
  EXPECT_LT(jumps, kItems / 10);
}

INSTANTIATE_TEST_SUITE_P(OneToEight, ThreadPoolOfSize, ::testing::Range(1, 9));

TEST(ThreadPool, AllWorkersTakePartInALongLoop) {
  ThreadPool pool(3);
  // Each item waits for the others, so the loop ends only if three workers meet in it.
  std::atomic<int> arrived{0};
  std::vector<int> worker_of(3, -1);
  pool.parallel_for(3, [&](std::int64_t item, int worker) {
    worker_of[static_cast<std::size_t>(item)] = worker;
    ++arrived;
    while (arrived < 3) std::this_thread::yield();
  });
  std::sort(worker_of.begin(), worker_of.end());
  EXPECT_EQ(worker_of, (std::vector<int>{0, 1, 2}));
}

TEST(ThreadPool, LoopsOfOneItemStayOnTheCaller) {
  ThreadPool pool(4);
  const auto caller = std::this_thread::get_id();
  for (int loop = 0; loop < 100; ++loop) {
    pool.parallel_for(1, [&](std::int64_t item, int worker) {
      EXPECT_EQ(item, 0);
      EXPECT_EQ(worker, 0);
      EXPECT_EQ(std::this_thread::get_id(), caller);
    });
  }
}

TEST(ThreadPool, AnotherThreadMayStartTheNextLoop) {
  ThreadPool pool(2);
  std::atomic<int> sum{0};
  const auto loop = [&] { pool.parallel_for(100, [&](std::int64_t, int) { ++sum; }); };
  loop();
  std::thread(loop).join();
  loop();
  EXPECT_EQ(sum, 300);
}

TEST(ThreadPool, PoolsComeAndGo) {
  for (int i = 0; i < 50; ++i) {
    ThreadPool pool(1 + i % 4);
    std::atomic<int> sum{0};
    if (i % 3 != 0) pool.parallel_for(8, [&](std::int64_t, int) { ++sum; });
    EXPECT_EQ(sum, i % 3 != 0 ? 8 : 0);
  }
}

cpu_set_t mask_of_this_thread() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  sched_getaffinity(0, sizeof mask, &mask);
  return mask;
}

TEST(ThreadPool, BindsItsWorkersAndLeavesTheCallerAsItWas) {
  const Topology& machine = topology();
  const int threads = machine.physical_cores;
  if (threads < 2 || machine.cpu_quota.value_or(threads) < threads) {
    GTEST_SKIP() << "needs two whole cores: one thread, or part of a core, is not bound";
  }
  const cpu_set_t before = mask_of_this_thread();
  {
    ThreadPool pool(threads);
    std::atomic<int> arrived{0};
    pool.parallel_for(threads, [&](std::int64_t, int worker) {
      const cpu_set_t mask = mask_of_this_thread();
      EXPECT_EQ(CPU_COUNT(&mask), 1);
      EXPECT_TRUE(CPU_ISSET(
          static_cast<std::size_t>(machine.usable_cpus[static_cast<std::size_t>(worker)]), &mask));
      ++arrived;
      while (arrived < threads) std::this_thread::yield();
    });
  }
  const cpu_set_t after = mask_of_this_thread();
  EXPECT_TRUE(CPU_EQUAL(&before, &after));

  ThreadPool unbound(threads, /*pin=*/false);
  unbound.parallel_for(100, [&](std::int64_t, int) {
    const cpu_set_t mask = mask_of_this_thread();
    EXPECT_TRUE(CPU_EQUAL(&before, &mask));
  });
}

#if defined(__x86_64__)
TEST(ThreadPool, EveryWorkerKeepsDenormalsAndTheCallersStateComesBack) {
  constexpr unsigned kFlushToZero = 0x8040;  // FTZ and DAZ
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | kFlushToZero);
  {
    ThreadPool pool(3);  // its threads inherit the flushing state
    std::atomic<int> arrived{0};
    std::atomic<int> kept{0};
    pool.parallel_for(3, [&](std::int64_t, int) {
      volatile float smallest = std::numeric_limits<float>::min();
      volatile float half = smallest * 0.5f;
      if (half > 0.0f && (_mm_getcsr() & 0xFFC0u) == 0x1F80u) ++kept;
      ++arrived;
      while (arrived < 3) std::this_thread::yield();
    });
    EXPECT_EQ(kept, 3);
    pool.parallel_for(1, [&](std::int64_t, int) {
      EXPECT_EQ(_mm_getcsr() & kFlushToZero, 0u) << "a loop that runs on the caller alone";
    });
  }
  EXPECT_EQ(_mm_getcsr() & kFlushToZero, kFlushToZero);
  _mm_setcsr(before);
}
#endif

TEST(ThreadPoolDeathTest, ALoopInsideALoopIsCaught) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const int threads : {1, 2}) {
    EXPECT_DEATH(
        {
          ThreadPool pool(threads);
          pool.parallel_for(
              4, [&](std::int64_t, int) { pool.parallel_for(2, [](std::int64_t, int) {}); });
        },
        "in_loop");
  }
}

TEST(ThreadPoolDeathTest, AnExceptionEndsTheProgramInsteadOfHangingIt) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        ThreadPool pool(2);
        pool.parallel_for(4, [](std::int64_t, int) { throw 1; });
      },
      "terminate");
}

// A loop in which both threads meet is the dearest kind of loop; its time is the cost
// that a forward pass pays per operation. Short batches, the quickest of many: on a
// shared machine some run undisturbed.
TEST(ThreadPool, ALoopInWhichTwoThreadsMeetIsQuick) {
  if (topology().default_threads() < 2) GTEST_SKIP() << "needs two CPUs";
  ThreadPool pool(2);
  constexpr int kLoops = 50;
  double best_us = std::numeric_limits<double>::max();
  for (int batch = 0; batch < 2000 / kSlower; ++batch) {
    const auto begin = std::chrono::steady_clock::now();
    for (int loop = 0; loop < kLoops; ++loop) {
      std::atomic<int> arrived{0};
      pool.parallel_for(2, [&](std::int64_t, int) {
        arrived.fetch_add(1, std::memory_order_relaxed);
        while (arrived.load(std::memory_order_relaxed) < 2) {
        }
      });
    }
    const std::chrono::duration<double, std::micro> spent =
        std::chrono::steady_clock::now() - begin;
    best_us = std::min(best_us, spent.count() / kLoops);
  }
  RecordProperty("loop_us", std::to_string(best_us));
  // 0.2 to 0.7 us on two cores of Zen 4. Sleeping and waking in every loop would take 10 or more.
  EXPECT_LT(best_us, 5.0 * static_cast<double>(kSlower));
}

}  // namespace
}  // namespace ridgeline
