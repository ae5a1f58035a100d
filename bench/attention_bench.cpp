// Attention, alone and single-threaded, beside the two ceilings of a core: reading
// memory and multiply-adds. A layer has 8 KV heads; there are so many layers that none is
// still in a cache when its turn comes again.
//
//   attention_bench --benchmark_filter='avx512/.*' --benchmark_repetitions=5
//
// decode: one position of one sequence, as many bytes of K and V as its depth makes.
// prefill: a tile of positions against one KV head at a depth of N, or a prompt of N.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/tensor/buffer.h"

namespace ridgeline {
namespace {

constexpr int kKvHeads = 8;
constexpr std::size_t kPoolBytes = std::size_t{192} << 20;

struct Shape {
  DType dtype;
  int head_dim;
  int group;
  std::int64_t depth;
  int latent = 0;  ///< first elements of K that are V; 0: V lies in the cache, as wide as K
  std::int64_t window = 0;  ///< 0: all

  int value_dim() const { return latent > 0 ? latent : head_dim; }
  bool operator==(const Shape&) const = default;
};

std::vector<float> random_floats(std::size_t n) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& v : values) v = normal(random);
  return values;
}

/// The KV cache of one sequence over several layers, and the queries of a prompt.
class Sequence {
 public:
  Sequence(const KernelTable& kernels, const Shape& shape)
      : kernels_(kernels), shape_(shape), kv_(*find_kv_kernel(kernels, shape.dtype)) {
    const auto blocks =
        static_cast<std::size_t>((shape.depth + kKvBlockTokens - 1) / kKvBlockTokens);
    head_bytes_ = kv_.head_block_bytes(shape.head_dim);
    block_stride_ = head_bytes_ * kKvHeads;
    half_layer_bytes_ = blocks * block_stride_;
    layers_ = std::max<std::size_t>(1, kPoolBytes / (2 * half_layer_bytes_));
    table_.resize(blocks);
    std::iota(table_.begin(), table_.end(), 0);
    std::shuffle(table_.begin(), table_.end(), std::mt19937(2));
    storage_ = Buffer::allocate(layers_ * 2 * half_layer_bytes_, "KV").value();
    const auto values = random_floats(4096);
    for (std::size_t b = 0; b < layers_ * 2 * blocks * kKvHeads; ++b)
      for (int slot = 0; slot < kKvBlockTokens; ++slot)
        kv_.store_v(values.data() + (b * 31 + static_cast<std::size_t>(slot) * 7) % 2048,
                    shape.head_dim, slot, storage_.data() + b * head_bytes_);
    q_stride_ = static_cast<std::ptrdiff_t>(kKvHeads) * shape.group * shape.head_dim;
    most_positions_ = std::max(kernels.attention_tile_positions(shape.group), 1);
    q_.resize(static_cast<std::size_t>(shape.depth * q_stride_));
    for (std::size_t i = 0; i < q_.size(); ++i) q_[i] = values[i % values.size()];
    out_.resize(q_.size());
    const auto rows = static_cast<std::size_t>(most_positions_ * shape.group);
    const std::size_t state_floats = rows * kernels.attention_state_floats(shape.value_dim());
    total_.resize(state_floats);
    part_.resize(state_floats);
    scratch_.resize(
        kernels.attention_scratch_floats(shape.head_dim, shape.value_dim(), shape.latent > 0));
  }

  /// One tile of `positions` from `first` on, over all that they see.
  void attend(std::size_t layer, int head, std::int64_t first, int positions) {
    AttentionSpan span{};
    span.kv_dtype = shape_.dtype;
    span.head_dim = shape_.head_dim;
    span.value_dim = shape_.value_dim();
    span.latent = shape_.latent > 0;
    span.window = shape_.window;
    span.group = shape_.group;
    span.positions = positions;
    span.first_position = first;
    span.scale = 1.0F / std::sqrt(static_cast<float>(shape_.head_dim));
    const std::ptrdiff_t row = first * q_stride_ + head * shape_.group * shape_.head_dim;
    span.q = q_.data() + row;
    span.q_position_stride = q_stride_;
    span.block_table = table_.data();
    const std::byte* base = storage_.data() + layer % layers_ * 2 * half_layer_bytes_;
    span.k_cache = base + static_cast<std::size_t>(head) * head_bytes_;
    span.v_cache = span.k_cache + half_layer_bytes_;
    span.block_stride = block_stride_;
    span.scratch = scratch_.data();
    const std::int64_t visible = first + positions;
    span.ahead_end = visible;
    const int rows = positions * shape_.group;
    const std::int64_t seen =
        shape_.window > 0 ? std::max<std::int64_t>(0, first - shape_.window + 1) : 0;
    const std::int64_t begin = seen / kAttentionSpan * kAttentionSpan;
    for (std::int64_t at = begin; at < visible; at += kAttentionSpan) {
      span.span_begin = at;
      span.span_end = std::min<std::int64_t>(visible, at + kAttentionSpan);
      span.state = at == begin ? total_.data() : part_.data();
      kernels_.attention_span(span);
      if (at > begin)
        kernels_.attention_merge(total_.data(), part_.data(), shape_.value_dim(), rows);
    }
    kernels_.attention_finish(total_.data(), shape_.value_dim(), shape_.group, positions, nullptr,
                              out_.data() + row, q_stride_);
  }

  int tile_positions() const { return most_positions_; }
  /// Of what a row at the end sees.
  double kv_bytes() const {
    const double seen = shape_.window > 0
                            ? static_cast<double>(std::min(shape_.window, shape_.depth)) /
                                  static_cast<double>(shape_.depth)
                            : 1.0;
    return (shape_.latent > 0 ? 1.0 : 2.0) * seen * static_cast<double>(half_layer_bytes_);
  }
  /// Of positions [first, first + count) against one KV head.
  double flops(std::int64_t first, std::int64_t count) const {
    double seen = 0;
    for (std::int64_t p = first; p < first + count; ++p)
      seen += static_cast<double>(shape_.window > 0 ? std::min(shape_.window, p + 1) : p + 1);
    return 2.0 * seen * (shape_.head_dim + shape_.value_dim()) * shape_.group;
  }

 private:
  const KernelTable& kernels_;
  Shape shape_;
  const KvKernel& kv_;
  std::size_t head_bytes_ = 0, block_stride_ = 0, half_layer_bytes_ = 0, layers_ = 0;
  std::ptrdiff_t q_stride_ = 0;
  int most_positions_ = 0;
  std::vector<std::int32_t> table_;
  Buffer storage_;
  std::vector<float> q_, out_, total_, part_, scratch_;
};

/// The one of this shape; Google Benchmark calls a function several times to find out how
/// often, and filling a cache takes longer than measuring.
Sequence& sequence_of(const KernelTable& kernels, const Shape& shape) {
  static std::unique_ptr<Sequence> last;
  static const KernelTable* last_kernels = nullptr;
  static Shape last_shape{};
  if (last == nullptr || last_kernels != &kernels || last_shape != shape) {
    last = nullptr;
    last = std::make_unique<Sequence>(kernels, shape);
    last_kernels = &kernels;
    last_shape = shape;
  }
  return *last;
}

benchmark::Counter rate(double per_iteration) {
  return benchmark::Counter(per_iteration, benchmark::Counter::kIsIterationInvariantRate,
                            benchmark::Counter::OneK::kIs1000);
}

void decode(benchmark::State& state, const KernelTable& kernels, const Shape& shape) {
  Sequence& sequence = sequence_of(kernels, shape);
  std::size_t layer = 0;
  for (auto _ : state) {
    for (int head = 0; head < kKvHeads; ++head) sequence.attend(layer, head, shape.depth - 1, 1);
    ++layer;
  }
  state.counters["bytes/s"] = rate(sequence.kv_bytes());
  state.counters["flop/s"] = rate(kKvHeads * sequence.flops(shape.depth - 1, 1));
}

/// `positions` of them up to the depth; all of a prompt when it is the depth itself.
void prefill(benchmark::State& state, const KernelTable& kernels, const Shape& shape,
             std::int64_t positions) {
  Sequence& sequence = sequence_of(kernels, shape);
  const int tile = sequence.tile_positions();
  if (positions == 0) positions = tile;
  const std::int64_t first = shape.depth - positions;
  std::size_t turn = 0;
  for (auto _ : state) {
    const int head = static_cast<int>(turn % kKvHeads);
    for (std::int64_t at = first; at < shape.depth; at += tile)
      sequence.attend(turn / kKvHeads, head, at,
                      static_cast<int>(std::min<std::int64_t>(tile, shape.depth - at)));
    ++turn;
  }
  state.counters["flop/s"] = rate(sequence.flops(first, positions));
}

// --- ceilings -----------------------------------------------------------------

void read_memory(benchmark::State& state) {
  using Vector = std::uint64_t __attribute__((vector_size(16)));
  Buffer buffer = Buffer::allocate(kPoolBytes, "memory to read").value();
  std::memset(buffer.data(), 1, kPoolBytes);
  constexpr std::size_t kPart = kPoolBytes / 16;
  std::size_t turn = 0;
  for (auto _ : state) {
    const auto* p = reinterpret_cast<const Vector*>(buffer.data() + turn++ % 16 * kPart);
    Vector sum[4] = {};
    for (std::size_t i = 0; i < kPart / sizeof(Vector); i += 4)
      for (std::size_t j = 0; j < 4; ++j) sum[j] |= p[i + j];
    benchmark::DoNotOptimize(sum);
  }
  state.counters["bytes/s"] = rate(static_cast<double>(kPart));
}

void fma_peak(benchmark::State& state, const PeakKernel& kernel) {
  constexpr std::int64_t kSteps = 1024;
  for (auto _ : state) benchmark::DoNotOptimize(kernel.run(kSteps));
  state.counters["flop/s"] = rate(kernel.ops_per_step * kSteps);
}

void register_benchmarks() {
  benchmark::RegisterBenchmark("ceiling/read", read_memory);
  for (const char* isa : {"avx512", "avx2"})
    if (const KernelTable* kernels = find_kernels(isa))
      for (const PeakKernel& kernel : kernels->peaks)
        if (kernel.arithmetic == Arithmetic::kF32)
          benchmark::RegisterBenchmark(fmt::format("ceiling/fma/{}", isa).c_str(),
                                       [&kernel](auto& state) { fma_peak(state, kernel); });

  const Shape shapes[] = {
      {DType::kF16, 64, 4, 0},
      {DType::kF16, 64, 1, 0},
      {DType::kF16, 64, 7, 0},
      {DType::kF16, 128, 4, 0},
      {DType::kF16, 128, 8, 0},
      {DType::kF16, 80, 1, 0},
      {DType::kBF16, 64, 4, 0},
      {DType::kF32, 64, 4, 0},
      {DType::kQ8_0, 64, 4, 0},
      {DType::kQ8_0, 64, 1, 0},
      {DType::kQ8_0, 128, 8, 0},
      {.dtype = DType::kF16, .head_dim = 64, .group = 8, .depth = 0, .window = 1024},
      {.dtype = DType::kF16, .head_dim = 576, .group = 16, .depth = 0, .latent = 512},
      {.dtype = DType::kF16, .head_dim = 576, .group = 48, .depth = 0, .latent = 512},
  };
  for (const KernelTable* kernels : available_kernels()) {
    // The others use the attention of the ISA that they extend, but avx512vnni on Q8_0.
    const bool vnni = kernels->name == "avx512vnni";
    if (kernels->name != "generic" && kernels->name != "avx2" && kernels->name != "avx512" && !vnni)
      continue;
    for (const Shape& base : shapes) {
      if (vnni && base.dtype != DType::kQ8_0) continue;
      std::string prefix = fmt::format("{}/{}/head{}/group{}", kernels->name, name(base.dtype),
                                       base.head_dim, base.group);
      if (base.latent > 0) prefix += fmt::format("/latent{}", base.latent);
      if (base.window > 0) prefix += fmt::format("/window{}", base.window);
      for (std::int64_t depth : {512, 8192}) {
        // The portable code is measured once: nobody tunes it.
        if (kernels->name == "generic" && (depth != 512 || &base != shapes)) continue;
        Shape shape = base;
        shape.depth = depth;
        benchmark::RegisterBenchmark(fmt::format("{}/decode/{}", prefix, depth).c_str(),
                                     [=](auto& state) { decode(state, *kernels, shape); });
        const std::int64_t positions = depth == 512 ? depth : 0;
        benchmark::RegisterBenchmark(
            fmt::format("{}/{}/{}", prefix, positions > 0 ? "prompt" : "prefill_at", depth).c_str(),
            [=](auto& state) { prefill(state, *kernels, shape, positions); });
      }
    }
  }
}

}  // namespace
}  // namespace ridgeline

int main(int argc, char** argv) {
  ridgeline::register_benchmarks();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
