// Matrix kernels alone, one thread: tiles against panels that lie in L2, packing, and
// beside them what a core can do at best.
//
//   kernels_bench --benchmark_filter='peak|tile/avx512.*Q4_0' --benchmark_repetitions=5

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <string>

#include "bench/product_weights.h"

namespace ridgeline::bench {
namespace {

constexpr std::int64_t kInputs = 2048;
constexpr std::size_t kResidentBytes = 300 << 10;  ///< stays in a 1 MB L2

benchmark::Counter rate(double per_iteration) {
  return {per_iteration, benchmark::Counter::kIsIterationInvariantRate,
          benchmark::Counter::OneK::kIs1000};
}

std::string activation_name(ActivationFormat format) {
  switch (format) {
    case ActivationFormat::kBF16:
      return "bf16";
    case ActivationFormat::kQ8x32:
    case ActivationFormat::kQ8x256:
      return "q8";
    case ActivationFormat::kF32:
      break;
  }
  return "f32";
}

void tile(benchmark::State& state, const KernelTable& kernels, const WeightKernel& kernel,
          int rows) {
  const Panels panels(kernels, kernel, kInputs,
                      std::max<std::int64_t>(1, static_cast<std::int64_t>(
                                                    kResidentBytes / kernel.panel_bytes(kInputs))));
  const ActivationKernel& packer = *find_activation_kernel(kernels, kernel.activation);
  const auto x = random_floats(static_cast<std::size_t>(rows) * kInputs, 1.0F);
  Buffer tile = Buffer::allocate(packer.tile_bytes(rows, kInputs), "activations").value();
  packer.pack(x.data(), kInputs, rows, kInputs, tile.data());
  const std::int64_t columns = panels.count() * kernels.panel_width;
  std::vector<float> acc(static_cast<std::size_t>(rows * columns));
  for (auto _ : state) {
    for (std::int64_t p = 0; p < panels.count(); ++p)
      kernel.tile[rows](panels.panel(p), tile.data(), kInputs, 0, kInputs,
                        acc.data() + p * kernels.panel_width, columns, false, nullptr);
    benchmark::DoNotOptimize(acc.data());
  }
  state.counters["op/s"] = rate(2.0 * rows * static_cast<double>(columns * kInputs));
  state.counters["weights/s"] =
      rate(static_cast<double>(panels.panel_bytes()) * static_cast<double>(panels.count()));
}

void pack_panel(benchmark::State& state, const KernelTable& kernels, const WeightKernel& kernel) {
  Panels panels(kernels, kernel, kInputs, 1);
  const auto& rows = panels.file_rows();
  for (auto _ : state) {
    kernel.pack_panel(rows.data(), row_bytes(kernel.weight, kInputs), kernels.panel_width, kInputs,
                      panels.data());
    benchmark::ClobberMemory();
  }
  state.counters["file/s"] = rate(static_cast<double>(rows.size()));
}

void pack_activations(benchmark::State& state, const ActivationKernel& kernel) {
  const auto x = random_floats(kMaxTileRows * kInputs, 1.0F);
  Buffer tile = Buffer::allocate(kernel.tile_bytes(kMaxTileRows, kInputs), "activations").value();
  for (auto _ : state) {
    kernel.pack(x.data(), kInputs, kMaxTileRows, kInputs, tile.data());
    benchmark::ClobberMemory();
  }
  state.counters["floats/s"] = rate(static_cast<double>(kMaxTileRows * kInputs));
}

void peak(benchmark::State& state, const PeakKernel& kernel) {
  constexpr std::int64_t kSteps = 1024;
  for (auto _ : state) benchmark::DoNotOptimize(kernel.run(kSteps));
  state.counters["op/s"] = rate(kernel.ops_per_step * kSteps);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const KernelTable* kernels : available_kernels()) {
    for (const PeakKernel& kernel : kernels->peaks)
      benchmark::RegisterBenchmark(fmt::format("peak/{}/{}", kernels->name,
                                               kernel.arithmetic == Arithmetic::kF32    ? "f32"
                                               : kernel.arithmetic == Arithmetic::kBF16 ? "bf16"
                                                                                        : "int8")
                                       .c_str(),
                                   [&kernel](benchmark::State& s) { peak(s, kernel); });
    for (const WeightKernel& kernel : kernels->weights) {
      const std::string type = fmt::format("{}/{}/{}", kernels->name, name(kernel.weight),
                                           activation_name(kernel.activation));
      for (const int rows : {1, 2, 4, 8})
        benchmark::RegisterBenchmark(
            fmt::format("tile/{}/rows:{}", type, rows).c_str(),
            [kernels, &kernel, rows](benchmark::State& s) { tile(s, *kernels, kernel, rows); });
      benchmark::RegisterBenchmark(
          ("pack/" + type).c_str(),
          [kernels, &kernel](benchmark::State& s) { pack_panel(s, *kernels, kernel); });
    }
    for (const ActivationKernel& kernel : kernels->activations)
      benchmark::RegisterBenchmark(
          fmt::format("activations/{}/{}", kernels->name, static_cast<int>(kernel.format)).c_str(),
          [&kernel](benchmark::State& s) { pack_activations(s, kernel); });
  }
  return true;
}();

}  // namespace
}  // namespace ridgeline::bench
