#include "ridgeline/tools/bench_kernels.h"

#include <fmt/format.h>

#include <random>

#include "ridgeline/tools/kernel_bench_run.h"

namespace ridgeline {

std::string KernelLine::key() const {
  return fmt::format("{}/{}/{}/{}/{}", static_cast<int>(section), format, what, threads, rows);
}

KernelBenchRun::KernelBenchRun(const KernelBenchOptions& options) : options_(options), one_(1) {
  for (const KernelTable* table : available_kernels())
    if (options.isas.empty() || table->name == "generic" ||
        std::ranges::find(options.isas, table->name) != options.isas.end())
      tables_.insert(tables_.begin(), table);
}

bool KernelBenchRun::wants(KernelSection section) const {
  return options_.sections.empty() ||
         std::ranges::find(options_.sections, section) != options_.sections.end();
}

bool KernelBenchRun::wants(DType format) const {
  return options_.formats.empty() ||
         std::ranges::find(options_.formats, format) != options_.formats.end();
}

double KernelBenchRun::seconds_left() const {
  return options_.seconds_max - std::chrono::duration<double>(Clock::now() - begin_).count();
}

double KernelBenchRun::peak(const KernelTable& kernels, Arithmetic kind) {
  constexpr double kPeakSeconds = 0.03;
  const auto [it, is_new] = peaks_.try_emplace({&kernels, kind}, 0.0);
  if (is_new)
    for (const PeakKernel& kernel : kernels.peaks)
      if (kernel.arithmetic == kind) it->second = measure_peak(one_, kernel, kPeakSeconds);
  return it->second;
}

void KernelBenchRun::add(KernelLine line) {
  if (line.isa == "generic") {
    generic_seconds_[line.key()] = line.seconds;
  } else if (const auto it = generic_seconds_.find(line.key()); it != generic_seconds_.end()) {
    line.over_generic = it->second / line.seconds;
  }
  const bool wanted =
      options_.isas.empty() || std::ranges::find(options_.isas, line.isa) != options_.isas.end();
  if (wanted && options_.on_line) options_.on_line(line);
}

void KernelBenchRun::note(const std::string& sentence) const {
  if (options_.on_note) options_.on_note(sentence);
}

std::vector<float> random_floats(std::size_t count, float deviation) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0F, deviation);
  std::vector<float> values(count);
  for (float& v : values) v = normal(random);
  return values;
}

double relative_error(std::span<const float> values, std::span<const double> reference) {
  double distance = 0, norm = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double d = values[i] - reference[i];
    distance += d * d;
    norm += reference[i] * reference[i];
  }
  return std::sqrt(distance / norm);
}

void bench_ceilings(KernelBenchRun& run) {
  constexpr double kFillSeconds = 0.5, kSeconds = 0.15;
  ThreadPool all(run.options().threads, run.options().pin);
  std::vector<ThreadPool*> pools{&run.one_thread()};
  if (all.size() > 1) pools.push_back(&all);
  for (ThreadPool* pool : pools) {
    KernelLine line;
    line.isa = run.tables().back()->name;
    line.what = "read from memory";
    line.threads = pool->size();
    BandwidthProbe probe(*pool, kFillSeconds);
    const double rate = probe.measure(kSeconds);
    line.bytes = line.cost.bytes = 1 << 30;
    line.seconds = line.bytes / rate;
    if (rate > 0) run.add(line);
  }
  for (const KernelTable* kernels : run.tables())
    for (const PeakKernel& kernel : kernels->peaks)
      for (ThreadPool* pool : pools) {
        KernelLine line;
        line.isa = kernels->name;
        line.format = kernel.arithmetic == Arithmetic::kF32    ? "f32"
                      : kernel.arithmetic == Arithmetic::kBF16 ? "bf16"
                                                               : "int8";
        line.what = "multiply-adds in registers";
        line.threads = pool->size();
        line.cost.ops_of(kernel.arithmetic) = 1e9;
        line.seconds = 1e9 / measure_peak(*pool, kernel, run.options().seconds_per_case);
        run.add(line);
      }
}

Status benchmark_kernels(const KernelBenchOptions& options) {
  KernelBenchRun run(options);
  if (run.wants(KernelSection::kCeilings)) bench_ceilings(run);
  if (run.wants(KernelSection::kMemory)) RIDGELINE_TRY_STATUS(bench_unaligned_loads(run));
  if (run.wants(KernelSection::kAttention)) RIDGELINE_TRY_STATUS(bench_attention(run));
  // Last, because it takes whatever time is left.
  if (run.wants(KernelSection::kMatmul)) RIDGELINE_TRY_STATUS(bench_products(run));
  return {};
}

}  // namespace ridgeline
