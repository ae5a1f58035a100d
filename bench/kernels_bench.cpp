// Matrix kernels alone, one thread: tiles against panels that lie in L2, packing, and
// beside them what a core can do at best.
//
//   kernels_bench --benchmark_filter='peak|tile/avx512.*Q4_0' --benchmark_repetitions=5

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <string>

#include "bench/product_weights.h"
#include "ridgeline/platform/cpu_features.h"

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

// --- ceilings: sixteen independent chains of one instruction --------------------

// clang-format off
#define RIDGELINE_CHAINS(op) \
  op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) \
  op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define RIDGELINE_VPDPBUSD(n) "vpdpbusd %%zmm16, %%zmm17, %%zmm" #n "\n"
#define RIDGELINE_VDPBF16PS(n) "vdpbf16ps %%zmm16, %%zmm17, %%zmm" #n "\n"
#define RIDGELINE_VFMADD(n) "vfmadd231ps %%zmm16, %%zmm17, %%zmm" #n "\n"
#define RIDGELINE_PEAK(name, op)                                                   \
  __attribute__((target("avx512f"), noinline)) void name() {                       \
    asm volatile(                                                                  \
        "vpxord %%zmm16, %%zmm16, %%zmm16\n vpxord %%zmm17, %%zmm17, %%zmm17\n"    \
        "mov $64, %%ecx\n 1:\n" RIDGELINE_CHAINS(op) "dec %%ecx\n jnz 1b\n"        \
        : : : "rcx", "cc", "zmm0", "zmm1", "zmm2", "zmm3", "zmm4", "zmm5", "zmm6", \
              "zmm7", "zmm8", "zmm9", "zmm10", "zmm11", "zmm12", "zmm13", "zmm14", \
              "zmm15", "zmm16", "zmm17");                                          \
  }
RIDGELINE_PEAK(int8_dots, RIDGELINE_VPDPBUSD)
RIDGELINE_PEAK(bf16_dots, RIDGELINE_VDPBF16PS)
RIDGELINE_PEAK(f32_fmas, RIDGELINE_VFMADD)
// clang-format on

void peak(benchmark::State& state, void (*chains)(), double ops_per_instruction) {
  for (auto _ : state) chains();
  state.counters["op/s"] = rate(64.0 * 16.0 * ops_per_instruction);
}

[[maybe_unused]] const bool kRegistered = [] {
  const CpuFeatures& cpu = cpu_features();
  if (cpu.avx512_vnni) benchmark::RegisterBenchmark("peak/int8", peak, int8_dots, 128.0);
  if (cpu.avx512_bf16) benchmark::RegisterBenchmark("peak/bf16", peak, bf16_dots, 64.0);
  if (cpu.avx512) benchmark::RegisterBenchmark("peak/f32", peak, f32_fmas, 32.0);
  for (const KernelTable* kernels : available_kernels()) {
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
