// Matrix products of `bench kernels`: single tiles against panels that lie in L2, and
// CpuBackend::linear against weights that no cache holds.

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <memory>

#include "ridgeline/ops/cpu/cpu_backend.h"
#include "ridgeline/platform/topology.h"
#include "ridgeline/quant/block_format.h"
#include "ridgeline/quant/random_blocks.h"
#include "ridgeline/tools/kernel_bench_run.h"

namespace ridgeline {
namespace {

constexpr std::int64_t kInputs = 2048, kOutputs = 4096;
constexpr std::array<std::int64_t, 7> kRows{1, 4, 8, 16, 32, 128, 512};
/// Portable code computes more rows at the speed of one tile: unless it was asked for by
/// name, the seconds that they take are better spent.
constexpr std::int64_t kPortableRowsMax = kMaxTileRows;
constexpr std::size_t kCachedBytes = 300 << 10;  ///< stays in a second-level cache
/// Four times the last-level cache is out of its reach.
constexpr std::size_t kMemoryCaches = 4;
constexpr std::size_t kMemoryBytesMin = std::size_t{64} << 20,
                      kMemoryBytesMax = std::size_t{512} << 20;

/// One way to multiply with one type of weights.
struct Subject {
  const KernelTable& kernels;
  const WeightKernel& kernel;
  bool exact;

  std::string format() const { return std::string(name(kernel.weight)) + (exact ? ", f32" : ""); }
  Arithmetic arithmetic() const { return arithmetic_of(kernel.activation); }
  /// Of random numbers: what rounding the activations costs, doubled, and what F32 sums do.
  double tolerance() const {
    switch (arithmetic()) {
      case Arithmetic::kInt8:
        return 2e-2;  // normal numbers in 255 steps up to the largest of 256: 0.9 %
      case Arithmetic::kBF16:
        return 5e-3;  // 2^-9 at most
      case Arithmetic::kF32:
        break;
    }
    return 1e-4;
  }
};

/// The rows of one panel as a file has them, random activations, and the exact products.
class Operands {
 public:
  Operands(DType format, int width)
      : width_(width),
        row_bytes_(row_bytes(format, kInputs)),
        file_(row_bytes_ * static_cast<std::size_t>(width)),
        x_(random_floats(static_cast<std::size_t>(kRows.back() * kInputs), 1.0F)) {
    const auto values = random_floats(static_cast<std::size_t>(width * kInputs), 0.02F);
    weights_.resize(values.size());
    for (int r = 0; r < width; ++r) {
      std::byte* row = file_.data() + static_cast<std::size_t>(r) * row_bytes_;
      if (can_encode(format))
        encode(format, values.data() + r * kInputs, kInputs, row);
      else
        random_blocks(format, static_cast<std::uint32_t>(r), 0.02F, kInputs, row);
      decode(format, row, kInputs, weights_.data() + r * kInputs);
    }
  }

  const float* x() const { return x_.data(); }
  const std::byte* file() const { return file_.data(); }
  std::size_t file_row_bytes() const { return row_bytes_; }

  /// What rows 0 and rows - 1 of a product with any of the panels should be: `out` has
  /// `stride` floats a row. The distance over the norm.
  double error(const float* out, std::int64_t rows, std::int64_t stride) const {
    std::vector<float> values;
    std::vector<double> reference;
    for (const std::int64_t row : {std::int64_t{0}, rows - 1})
      for (int c = 0; c < width_; ++c) {
        double sum = 0;
        for (std::int64_t i = 0; i < kInputs; ++i)
          sum += double{x_[static_cast<std::size_t>(row * kInputs + i)]} *
                 double{weights_[static_cast<std::size_t>(c * kInputs + i)]};
        reference.push_back(sum);
        values.push_back(out[row * stride + c]);
      }
    return relative_error(values, reference);
  }

 private:
  int width_;
  std::size_t row_bytes_;
  std::vector<std::byte> file_;
  std::vector<float> x_, weights_;
};

std::int64_t rows_max(const KernelBenchRun& run, const Subject& s) {
  const auto& isas = run.options().isas;
  const bool is_named = std::ranges::find(isas, s.kernels.name) != isas.end();
  return s.kernels.name == "generic" && !is_named ? kPortableRowsMax : kRows.back();
}

Status check(const Subject& s, const Operands& operands, const float* out, std::int64_t rows,
             std::int64_t stride, const char* what) {
  const double error = operands.error(out, rows, stride);
  if (error <= s.tolerance()) return {};
  return fail(fmt::format(
      "the {} product of {} with {} rows ({}) is wrong: its error is {:.2g} of its norm, expected "
      "at most {:.2g}",
      s.kernels.name, s.format(), rows, what, error, s.tolerance()));
}

KernelLine product_line(const Subject& s, const char* what, std::int64_t rows, double seconds,
                        double weights, double bytes) {
  KernelLine line;
  line.section = KernelSection::kMatmul;
  line.isa = s.kernels.name;
  line.format = s.format();
  line.what = what;
  line.rows = rows;
  line.seconds = seconds;
  line.bytes = bytes;
  line.cost.ops_of(s.arithmetic()) = 2.0 * weights * static_cast<double>(rows);
  return line;
}

/// One thread, a few panels, activations packed beforehand.
Status bench_in_cache(KernelBenchRun& run, const Subject& s, const Operands& operands) {
  const int width = s.kernels.panel_width;
  const std::size_t panel_bytes = s.kernel.panel_bytes(kInputs);
  const auto panels =
      static_cast<std::int64_t>(std::max<std::size_t>(1, kCachedBytes / panel_bytes));
  RIDGELINE_TRY(Buffer weights, Buffer::allocate(panel_bytes * static_cast<std::size_t>(panels),
                                                 "panels of weights"));
  for (std::int64_t p = 0; p < panels; ++p)
    s.kernel.pack_panel(operands.file(), operands.file_row_bytes(), width, kInputs,
                        weights.data() + static_cast<std::size_t>(p) * panel_bytes);
  const ActivationKernel& packer = *find_activation_kernel(s.kernels, s.kernel.activation);
  const std::size_t tile_bytes = (packer.tile_bytes(kMaxTileRows, kInputs) + 63) / 64 * 64;
  const std::int64_t columns = panels * width;
  std::vector<float> out(static_cast<std::size_t>(kRows.back() * columns));
  RIDGELINE_TRY(Buffer tiles,
                Buffer::allocate(tile_bytes * static_cast<std::size_t>(kRows.back() / kMaxTileRows),
                                 "packed activations"));
  for (const std::int64_t rows : kRows) {
    if (rows > rows_max(run, s)) break;
    if (run.time_is_over()) return {};
    const auto tile_rows = [rows](std::int64_t first) {
      return static_cast<int>(std::min<std::int64_t>(kMaxTileRows, rows - first));
    };
    const auto tile_at = [&](std::int64_t first) {
      return tiles.data() + static_cast<std::size_t>(first / kMaxTileRows) * tile_bytes;
    };
    for (std::int64_t r = 0; r < rows; r += kMaxTileRows)
      packer.pack(operands.x() + r * kInputs, kInputs, tile_rows(r), kInputs, tile_at(r));
    const auto product = [&] {
      for (std::int64_t r = 0; r < rows; r += kMaxTileRows)
        for (std::int64_t p = 0; p < panels; ++p)
          s.kernel.tile[tile_rows(r)](
              weights.data() + static_cast<std::size_t>(p) * panel_bytes, tile_at(r), kInputs, 0,
              kInputs, out.data() + r * columns + p * width, columns, false, nullptr);
    };
    product();
    RIDGELINE_TRY_STATUS(check(s, operands, out.data() + columns - width, rows, columns, "in L2"));
    KernelLine line =
        product_line(s, "product, weights in L2", rows, run.seconds_of(product),
                     static_cast<double>(columns * kInputs), static_cast<double>(weights.size()));
    line.share = line.cost.total_ops() / run.peak(s.kernels, s.arithmetic()) / line.seconds;
    run.add(line);
  }
  return {};
}

/// A backend with as many equal weights as no cache holds.
class WeightsInMemory {
 public:
  static Result<std::unique_ptr<WeightsInMemory>> create(const KernelBenchOptions& options,
                                                         const Subject& s,
                                                         const Operands& operands) {
    std::unique_ptr<WeightsInMemory> w(new WeightsInMemory);
    BackendOptions backend;
    backend.threads = options.threads;
    backend.isa = s.kernels.name;
    backend.pin = options.pin;
    backend.activations = s.exact ? ActivationPrecision::kExact : ActivationPrecision::kFast;
    RIDGELINE_TRY(w->backend_, CpuBackend::create(backend));
    const std::size_t total =
        std::clamp(kMemoryCaches * topology().l3_bytes, kMemoryBytesMin, kMemoryBytesMax);
    std::size_t bytes = 0;
    while (bytes < total) {
      RIDGELINE_TRY(auto weight, w->pack(s, operands));
      bytes += weight->bytes();
      w->weights_.push_back(std::move(weight));
    }
    Backend::Limits limits;
    limits.max_rows = kRows.back();
    limits.max_cols = kInputs;
    limits.max_positions = limits.query_heads = limits.kv_heads = limits.head_dim = 1;
    RIDGELINE_TRY_STATUS(w->backend_->reserve(limits));
    w->out_.resize(static_cast<std::size_t>(kRows.back() * kOutputs));
    return w;
  }

  /// One product, with the weight that was used longest ago.
  void multiply(const Operands& operands, std::int64_t rows) {
    // linear() reads x only.
    const Matrix x{const_cast<float*>(operands.x()), rows, kInputs, kInputs};
    const std::array output{LinearOutput{weights_[next_++ % weights_.size()].get(),
                                         Matrix{out_.data(), rows, kOutputs, kOutputs}}};
    backend_->linear(x, output);
  }
  const std::vector<float>& out() const { return out_; }
  double weight_bytes() const { return static_cast<double>(weights_.front()->bytes()); }
  ThreadPool& pool() { return backend_->pool(); }

 private:
  WeightsInMemory() = default;
  /// A weight of which every panel holds the same rows.
  Result<std::unique_ptr<PackedWeight>> pack(const Subject& s, const Operands& operands) {
    const std::size_t panel_bytes = s.kernel.panel_bytes(kInputs);
    const std::int64_t panels = kOutputs / s.kernels.panel_width;
    RIDGELINE_TRY(Buffer packed, Buffer::allocate(panel_bytes * static_cast<std::size_t>(panels),
                                                  "the benchmark's weights"));
    const auto owner = std::make_shared<Buffer>(std::move(packed));
    backend_->pool().parallel_for(panels, [&](std::int64_t p, int) {
      s.kernel.pack_panel(operands.file(), operands.file_row_bytes(), s.kernels.panel_width,
                          kInputs, owner->data() + static_cast<std::size_t>(p) * panel_bytes);
    });
    return backend_->adopt_weight(s.kernel.weight, kOutputs, kInputs,
                                  {{owner->data(), owner->size()}, owner});
  }

  std::unique_ptr<CpuBackend> backend_;
  std::vector<std::unique_ptr<PackedWeight>> weights_;
  std::vector<float> out_;
  std::size_t next_ = 0;
};

/// All threads, the way a model multiplies, packing of activations included.
Status bench_out_of_memory(KernelBenchRun& run, const Subject& s, const Operands& operands,
                           BandwidthProbe& bandwidth) {
  constexpr double kProbeSeconds = 0.02;
  if (run.time_is_over()) return {};
  RIDGELINE_TRY(const auto weights, WeightsInMemory::create(run.options(), s, operands));
  const auto kernel = std::ranges::find(s.kernels.peaks, s.arithmetic(), &PeakKernel::arithmetic);
  double peak = 0;  // noise only lowers it
  double read_before = bandwidth.measure(kProbeSeconds);
  for (const std::int64_t rows : kRows) {
    if (rows > rows_max(run, s)) break;
    if (run.time_is_over()) return {};
    weights->multiply(operands, rows);
    RIDGELINE_TRY_STATUS(check(s, operands,
                               weights->out().data() + kOutputs - s.kernels.panel_width, rows,
                               kOutputs, "out of memory"));
    peak = std::max(peak, measure_peak(weights->pool(), *kernel, kProbeSeconds / 4));
    const double seconds = run.seconds_of([&] { weights->multiply(operands, rows); });
    const double read_after = bandwidth.measure(kProbeSeconds);
    Ceilings ceilings;
    ceilings.ops_per_second[static_cast<std::size_t>(s.arithmetic())] = peak;
    ceilings.read_bytes_per_second = (read_before + read_after) / 2;
    read_before = read_after;
    KernelLine line =
        product_line(s, "product, weights in memory", rows, seconds,
                     static_cast<double>(kOutputs * kInputs), weights->weight_bytes());
    line.threads = weights->pool().size();
    line.cost.bytes = line.bytes;
    line.share = place(line.cost, ceilings).seconds() / seconds;
    run.add(line);
  }
  return {};
}

}  // namespace

Status bench_products(KernelBenchRun& run) {
  ThreadPool all(run.options().threads, run.options().pin);
  BandwidthProbe bandwidth(all, /*seconds=*/0.5);
  std::set<TileKernel> seen;
  for (const KernelTable* kernels : run.tables())
    for (const DTypeInfo& type : all_dtypes()) {
      if (!run.wants(type.dtype)) continue;
      for (const bool exact : {false, true}) {
        const WeightKernel* kernel = find_weight_kernel(
            *kernels, type.dtype, exact ? ActivationPrecision::kExact : ActivationPrecision::kFast);
        if (kernel == nullptr || (exact && !run.options().exact)) continue;
        if (!seen.insert(kernel->tile[kMaxTileRows]).second) continue;
        if (run.time_is_over()) {
          run.note(fmt::format("no time was left for {} products of {}", kernels->name, type.name));
          continue;
        }
        const Subject subject{*kernels, *kernel, exact};
        const Operands operands(type.dtype, kernels->panel_width);
        RIDGELINE_TRY_STATUS(bench_in_cache(run, subject, operands));
        RIDGELINE_TRY_STATUS(bench_out_of_memory(run, subject, operands, bandwidth));
      }
    }
  return {};
}

}  // namespace ridgeline
