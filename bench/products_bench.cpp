// Matrix products out of main memory with all threads: one layer's weight (8192 × 2048)
// after another, so many that none is in a cache when its turn comes again. The loop
// nests are those that kernel_table.h's tiles were tuned with.
//
//   products_bench --benchmark_filter='avx512bf16/Q4_0/' --benchmark_repetitions=5
//
// M ≤ 32: memory is the limit. Each panel meets all tiles before the next panel. A
// thread that reads one long stretch gets a third more bandwidth than one that hops
// every 96 KB, so five sixths are handed out as one stretch per thread; the rest in
// small items evens out what a busy machine does to the threads.
// M > 32: arithmetic is the limit. Blocks of panels that fit half of L2 meet eight
// tiles of rows, 2,048 of k at a time, so that a tile's activations stay in L1.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <string>

#include "bench/product_weights.h"
#include "ridgeline/platform/thread_pool.h"
#include "ridgeline/platform/topology.h"
#include "ridgeline/tools/machine_probe.h"

namespace ridgeline::bench {
namespace {

constexpr std::int64_t kInputs = 2048, kOutputs = 8192;
constexpr std::size_t kTotalBytes = std::size_t{200} << 20;
constexpr std::int64_t kMaxStreamRows = 32;
constexpr std::int64_t kItemBytes = 96 << 10;    ///< of the small items of a stream
constexpr std::int64_t kBlockBytes = 512 << 10;  ///< of a block of panels and 2,048 of k
constexpr std::int64_t kBlockTiles = 8;

ThreadPool& pool() {
  static ThreadPool threads(topology().default_threads());
  return threads;
}

class Product {
 public:
  Product(const KernelTable& kernels, const WeightKernel& kernel, std::int64_t rows)
      : kernel_(kernel),
        packer_(*find_activation_kernel(kernels, kernel.activation)),
        width_(kernels.panel_width),
        panels_per_weight_(kOutputs / width_),
        weights_(std::max<std::int64_t>(
            3, static_cast<std::int64_t>(kTotalBytes / kernel.panel_bytes(kInputs)) /
                   panels_per_weight_)),
        panels_(kernels, kernel, kInputs, weights_ * panels_per_weight_),
        rows_(rows),
        tiles_((rows + kMaxTileRows - 1) / kMaxTileRows),
        tile_bytes_((packer_.tile_bytes(kMaxTileRows, kInputs) + 63) / 64 * 64),
        x_(random_floats(static_cast<std::size_t>(rows * kInputs), 1.0F)),
        out_(static_cast<std::size_t>(rows * kOutputs)),
        packed_(Buffer::allocate(tile_bytes_ * static_cast<std::size_t>(tiles_), "tiles").value()) {
  }

  void run() {
    first_panel_ = turn_++ % weights_ * panels_per_weight_;
    pool().parallel_for(tiles_, [&](std::int64_t t, int) {
      packer_.pack(x_.data() + t * kMaxTileRows * kInputs, kInputs, tile_rows(t), kInputs, tile(t));
    });
    if (rows_ <= kMaxStreamRows)
      stream();
    else
      blocks();
  }
  double ops() const { return 2.0 * static_cast<double>(rows_ * kOutputs * kInputs); }
  double weight_bytes() const {
    return static_cast<double>(panels_.panel_bytes()) * static_cast<double>(panels_per_weight_);
  }

 private:
  int tile_rows(std::int64_t t) const {
    return static_cast<int>(std::min<std::int64_t>(kMaxTileRows, rows_ - t * kMaxTileRows));
  }
  std::byte* tile(std::int64_t t) {
    return packed_.data() + static_cast<std::size_t>(t) * tile_bytes_;
  }

  void multiply(std::int64_t p, std::int64_t t, bool prefetch) {
    const std::byte* panel = panels_.panel(first_panel_ + p);
    kernel_.tile[tile_rows(t)](panel, tile(t), kInputs, 0, kInputs,
                               out_.data() + t * kMaxTileRows * kOutputs + p * width_, kOutputs,
                               false, prefetch ? panel + kPrefetchAhead : nullptr);
  }

  void stream() {
    const std::int64_t threads = pool().size();
    const std::int64_t stretch = panels_per_weight_ * 5 / 6 / threads;
    const std::int64_t rest = panels_per_weight_ - stretch * threads;
    const auto small =
        std::max<std::int64_t>(1, kItemBytes / static_cast<std::int64_t>(panels_.panel_bytes()));
    const bool prefetch = rows_ >= kernel_.prefetch_rows;
    pool().parallel_for(threads + (rest + small - 1) / small, [&](std::int64_t item, int) {
      const std::int64_t begin =
          item < threads ? item * stretch : threads * stretch + (item - threads) * small;
      const std::int64_t end =
          item < threads ? begin + stretch : std::min(panels_per_weight_, begin + small);
      for (std::int64_t p = begin; p < end; ++p)
        for (std::int64_t t = 0; t < tiles_; ++t) multiply(p, t, prefetch);
    });
  }

  void blocks() {
    const auto block =
        std::max<std::int64_t>(1, kBlockBytes / static_cast<std::int64_t>(panels_.panel_bytes()));
    const std::int64_t row_blocks = (tiles_ + kBlockTiles - 1) / kBlockTiles;
    pool().parallel_for(
        (panels_per_weight_ + block - 1) / block * row_blocks, [&](std::int64_t item, int) {
          const std::int64_t panel_begin = item / row_blocks * block;
          const std::int64_t panel_end = std::min(panels_per_weight_, panel_begin + block);
          const std::int64_t tile_begin = item % row_blocks * kBlockTiles;
          const std::int64_t tile_end = std::min(tiles_, tile_begin + kBlockTiles);
          for (std::int64_t t = tile_begin; t < tile_end; ++t)  // the first brings the block in
            for (std::int64_t p = panel_begin; p < panel_end; ++p) multiply(p, t, t == tile_begin);
        });
  }

  const WeightKernel& kernel_;
  const ActivationKernel& packer_;
  std::int64_t width_, panels_per_weight_, weights_;
  Panels panels_;
  std::int64_t rows_, tiles_;
  std::size_t tile_bytes_;
  std::vector<float> x_, out_;
  Buffer packed_;
  std::int64_t turn_ = 0, first_panel_ = 0;
};

void product(benchmark::State& state, const KernelTable& kernels, const WeightKernel& kernel,
             std::int64_t rows) {
  Product product(kernels, kernel, rows);
  for (auto _ : state) product.run();
  const auto rate = [](double per_iteration) {
    return benchmark::Counter(per_iteration, benchmark::Counter::kIsIterationInvariantRate,
                              benchmark::Counter::OneK::kIs1000);
  };
  state.counters["op/s"] = rate(product.ops());
  state.counters["weights/s"] = rate(product.weight_bytes());
}

void read_memory(benchmark::State& state) {
  double best = 0.0;
  for (auto _ : state) best = std::max(best, measure_read_bandwidth(pool(), 0.1));
  state.counters["bytes/s"] =
      benchmark::Counter(best, benchmark::Counter::kDefaults, benchmark::Counter::OneK::kIs1000);
}

[[maybe_unused]] const bool kRegistered = [] {
  benchmark::RegisterBenchmark("read", read_memory)->UseRealTime()->Iterations(3);
  for (const KernelTable* kernels : available_kernels())
    for (const DTypeInfo& type : all_dtypes()) {
      const WeightKernel& kernel = *find_weight_kernel(*kernels, type.dtype, false);
      for (const int rows : {1, 2, 4, 8, 16, 32, 128, 512})
        benchmark::RegisterBenchmark(
            fmt::format("{}/{}/M:{}", kernels->name, type.name, rows).c_str(),
            [kernels, &kernel, rows](benchmark::State& s) { product(s, *kernels, kernel, rows); })
            ->UseRealTime()
            ->MinTime(0.2);
    }
  return true;
}();

}  // namespace
}  // namespace ridgeline::bench
