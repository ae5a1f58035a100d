#include "ridgeline/tools/product_probe.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "ridgeline/base/check.h"
#include "ridgeline/ops/cpu/cpu_backend.h"
#include "ridgeline/platform/topology.h"
#include "ridgeline/quant/block_format.h"
#include "ridgeline/quant/random_blocks.h"
#include "ridgeline/tools/repeat_timing.h"

namespace ridgeline {
namespace {

/// Four times the last-level cache is out of its reach.
constexpr std::size_t kCaches = 4;
constexpr std::size_t kRingBytesMin = std::size_t{1} << 20, kRingBytesMax = std::size_t{512} << 20;
constexpr double kBandwidthSeconds = 0.02, kPeakSeconds = 0.02;

/// Rows of made-up weights, packed.
std::vector<std::byte> packed_panel(const Backend& backend, MatrixType type, std::int64_t inputs,
                                    std::size_t bytes) {
  const std::int64_t rows = backend.pack_granularity();
  const std::size_t stride = row_bytes(type.dtype, inputs);
  std::vector<std::byte> file(stride * static_cast<std::size_t>(rows));
  std::vector<float> values(static_cast<std::size_t>(inputs));
  for (std::int64_t r = 0; r < rows; ++r) {
    std::byte* to = file.data() + static_cast<std::size_t>(r) * stride;
    if (can_encode(type.dtype)) {
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] =
            0.02F *
            (static_cast<float>((i * 37 + static_cast<std::size_t>(r)) % 255) / 127.0F - 1.0F);
      encode(type.dtype, values.data(), inputs, to);
    } else {
      random_blocks(type.dtype, static_cast<std::uint32_t>(r), 0.02F, inputs, to);
    }
  }
  // Panels are 64-byte aligned, which a vector need not be.
  auto buffer = Buffer::allocate(bytes, "a panel");
  std::vector<std::byte> panel(bytes);
  if (!buffer) return panel;
  backend.pack_rows(type, rows, inputs, file.data(), buffer->data());
  std::memcpy(panel.data(), buffer->data(), bytes);
  return panel;
}

}  // namespace

struct ProductProbe::State {
  Options options;
  std::shared_ptr<Buffer> ring;
  std::size_t ring_bytes = 0;
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<BandwidthProbe> bandwidth;
};

ProductProbe::ProductProbe(std::unique_ptr<State> state) : state_(std::move(state)) {}
ProductProbe::~ProductProbe() = default;
ProductProbe::ProductProbe(ProductProbe&&) noexcept = default;

bool ProductProbe::reads_memory() const { return state_->ring_bytes > topology().l3_bytes; }

double ProductProbe::measure_bandwidth(double seconds) {
  return state_->bandwidth->measure(seconds);
}

/// Seconds of a product that reads `bytes`, and the memory's rate: in turn, since it may change
/// from one moment to the next; the ratio is the middle one.
double ProductProbe::beside_memory(const std::function<void()>& product, double bytes,
                                   double& read_bytes_per_second) {
  constexpr int kTurns = 5;
  constexpr double kProductSeconds = 0.02;
  std::vector<double> ratios, rates;
  double before = measure_bandwidth(kBandwidthSeconds);
  for (int i = 0; i < kTurns; ++i) {
    const double seconds = seconds_of_call(product, kProductSeconds);
    const double after = measure_bandwidth(kBandwidthSeconds);
    rates.push_back((before + after) / 2);
    ratios.push_back(seconds * rates.back() / bytes);
    before = after;
  }
  read_bytes_per_second = median(rates);
  return median(ratios) * bytes / read_bytes_per_second;
}

Result<ProductProbe> ProductProbe::create(const Options& options) {
  auto state = std::make_unique<State>();
  state->options = options;
  const std::size_t out_of_reach =
      std::clamp(kCaches * topology().l3_bytes, kRingBytesMin * 64, kRingBytesMax);
  state->ring_bytes = std::clamp(options.weight_bytes, kRingBytesMin, out_of_reach);
  RIDGELINE_TRY(Buffer ring, Buffer::allocate(state->ring_bytes, "the probe's weights"));
  state->ring = std::make_shared<Buffer>(std::move(ring));
  const int threads =
      options.backend.threads > 0 ? options.backend.threads : topology().default_threads();
  state->pool = std::make_unique<ThreadPool>(threads, options.backend.pin);
  state->bandwidth = std::make_unique<BandwidthProbe>(*state->pool, /*seconds=*/0.5);
  return ProductProbe(std::move(state));
}

/// Equal matrices that fill the ring.
class ProductProbe::Matrices final : public ProductProbe::Product {
 public:
  Matrices(std::unique_ptr<CpuBackend> backend, std::int64_t outputs, std::int64_t inputs,
           std::int64_t rows_max)
      : backend_(std::move(backend)),
        outputs_(outputs),
        inputs_(inputs),
        x_(static_cast<std::size_t>(rows_max * inputs)),
        out_(static_cast<std::size_t>(rows_max * outputs)) {
    for (std::size_t i = 0; i < x_.size(); ++i) x_[i] = static_cast<float>(i % 255) / 127.0F - 1.0F;
  }

  Status adopt(MatrixType type, const std::shared_ptr<Buffer>& ring, std::size_t matrices,
               std::size_t matrix_bytes, std::int64_t rows_max) {
    for (std::size_t m = 0; m < matrices; ++m) {
      const std::span<const std::byte> bytes(ring->data() + m * matrix_bytes, matrix_bytes);
      RIDGELINE_TRY(auto weight, backend_->adopt_weight(type, outputs_, inputs_, {bytes, ring}));
      weights_.push_back(std::move(weight));
    }
    Backend::Limits limits;
    limits.max_rows = rows_max;
    limits.max_cols = inputs_;
    limits.max_positions = limits.query_heads = limits.kv_heads = limits.head_dim = 1;
    return backend_->reserve(limits);
  }

  void multiply(std::int64_t rows) override {
    const PackedWeight& weight = *weights_[next_++ % weights_.size()];
    const std::array output{LinearOutput{&weight, Matrix{out_.data(), rows, outputs_, outputs_}}};
    backend_->linear(Matrix{x_.data(), rows, inputs_, inputs_}, output);
  }
  double weights() const override { return static_cast<double>(outputs_ * inputs_); }
  const WeightKernel& kernel() const {
    return static_cast<const CpuWeight&>(*weights_.front()).kernel();
  }

 private:
  std::unique_ptr<CpuBackend> backend_;
  std::int64_t outputs_, inputs_;
  std::vector<std::unique_ptr<PackedWeight>> weights_;
  std::vector<float> x_, out_;
  std::size_t next_ = 0;
};

Result<std::unique_ptr<ProductProbe::Matrices>> ProductProbe::fill(MatrixType type,
                                                                   std::int64_t outputs,
                                                                   std::int64_t inputs,
                                                                   std::int64_t rows_max) {
  RIDGELINE_TRY(std::unique_ptr<CpuBackend> backend, CpuBackend::create(state_->options.backend));
  const std::int64_t width = backend->pack_granularity();
  RIDGELINE_TRY(const std::size_t panel_bytes, backend->packed_bytes(type, width, inputs));
  // A matrix that is larger than the ring has room for becomes shorter.
  const std::size_t panels =
      std::clamp<std::size_t>(static_cast<std::size_t>((outputs + width - 1) / width), 1,
                              std::max<std::size_t>(1, state_->ring_bytes / panel_bytes));
  const std::size_t matrices =
      std::max<std::size_t>(1, state_->ring_bytes / (panels * panel_bytes));
  if (matrices * panels * panel_bytes > state_->ring->size()) {
    RIDGELINE_TRY(Buffer larger,
                  Buffer::allocate(matrices * panels * panel_bytes, "the probe's weights"));
    state_->ring = std::make_shared<Buffer>(std::move(larger));
  }
  const std::vector<std::byte> panel = packed_panel(*backend, type, inputs, panel_bytes);
  backend->pool().parallel_for(
      static_cast<std::int64_t>(matrices * panels), [&](std::int64_t p, int) {
        std::memcpy(state_->ring->data() + static_cast<std::size_t>(p) * panel_bytes, panel.data(),
                    panel_bytes);
      });
  auto filled = std::make_unique<Matrices>(
      std::move(backend), static_cast<std::int64_t>(panels) * width, inputs, rows_max);
  RIDGELINE_TRY_STATUS(filled->adopt(type, state_->ring, matrices, panels * panel_bytes, rows_max));
  return filled;
}

Result<std::unique_ptr<ProductProbe::Product>> ProductProbe::prepare(MatrixType type,
                                                                     std::int64_t outputs,
                                                                     std::int64_t inputs,
                                                                     std::int64_t rows_max) {
  return fill(type, outputs, inputs, rows_max);
}

Result<ProductRate> ProductProbe::measure(MatrixType type, std::int64_t outputs,
                                          std::int64_t inputs, std::span<const std::int64_t> rows,
                                          double seconds) {
  RIDGELINE_CHECK(!rows.empty() && rows.front() == 1 && std::ranges::is_sorted(rows));
  RIDGELINE_TRY(const auto product, fill(type, outputs, inputs, rows.back()));
  const WeightKernel& kernel = product->kernel();
  ProductRate rate;
  rate.type = type;
  rate.arithmetic = arithmetic_of(kernel.activation);
  const std::size_t panel_bytes = kernel.read_bytes(inputs);
  const KernelTable& kernels = *find_kernels(state_->options.backend.isa);
  const auto peak = std::ranges::find(kernels.peaks, rate.arithmetic, &PeakKernel::arithmetic);
  rate.peak_ops_per_second = measure_peak(*state_->pool, *peak, kPeakSeconds);
  rate.bytes_per_weight =
      static_cast<double>(panel_bytes) / static_cast<double>(kernels.panel_width * inputs);
  const double budget = seconds / static_cast<double>(rows.size());
  for (const std::int64_t n : rows) {
    const auto run = [&] { product->multiply(n); };
    const double taken = n == 1 && reads_memory()
                             ? beside_memory(run, rate.bytes_per_weight * product->weights(),
                                             rate.read_bytes_per_second)
                             : seconds_of_call(run, budget);
    rate.knots.push_back({static_cast<double>(n), taken / product->weights()});
  }
  return rate;
}

}  // namespace ridgeline
