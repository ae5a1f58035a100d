// What a parallel loop costs, apart from its items.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "ridgeline/platform/thread_pool.h"
#include "ridgeline/platform/topology.h"

namespace ridgeline {
namespace {

/// Every worker waits for all the others: the dearest loop, and what an operation of a
/// forward pass pays beside its arithmetic.
void loop_in_which_all_meet(benchmark::State& state) {
  const auto threads = static_cast<int>(state.range(0));
  ThreadPool pool(threads);
  for (auto _ : state) {
    std::atomic<int> arrived{0};
    pool.parallel_for(pool.size(), [&](std::int64_t, int) {
      arrived.fetch_add(1, std::memory_order_relaxed);
      while (arrived.load(std::memory_order_relaxed) < pool.size()) {
      }
    });
  }
}
BENCHMARK(loop_in_which_all_meet)
    ->DenseRange(2, std::max(2, topology().default_threads()))
    ->UseRealTime();

/// Items that cost nothing: the hand-out alone, with every thread at the counter.
void empty_items(benchmark::State& state) {
  ThreadPool pool(topology().default_threads());
  const std::int64_t items = state.range(0);
  for (auto _ : state) {
    pool.parallel_for(items, [](std::int64_t item, int) { benchmark::DoNotOptimize(item); });
  }
  state.SetItemsProcessed(state.iterations() * items);
}
BENCHMARK(empty_items)->Arg(1)->Arg(16)->Arg(256)->Arg(4096)->UseRealTime();

}  // namespace
}  // namespace ridgeline
