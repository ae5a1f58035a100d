// Rounding on one core: rows of F16 into each type, plainly and by weights. The rate is of the
// F16 that is read.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "ridgeline/quant/block_format.h"
#include "ridgeline/quant/block_grid.h"

namespace ridgeline {
namespace {

constexpr std::int64_t kRow = 8192;

/// A row as a trained matrix has it, in F16, and importances of its columns.
struct Sample {
  std::vector<std::byte> f16 = std::vector<std::byte>(2 * kRow);
  std::vector<float> x = std::vector<float>(kRow), importance = std::vector<float>(kRow);

  Sample() {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0.0f, 0.02f);
    std::lognormal_distribution<float> spread;
    for (float& v : x) v = normal(random);
    for (float& v : importance) v = spread(random);
    encode(DType::kF16, x.data(), kRow, f16.data());
  }
};

void count(benchmark::State& state) { state.SetBytesProcessed(state.iterations() * 2 * kRow); }

void plain(benchmark::State& state, DType type) {
  Sample sample;
  std::vector<std::byte> blocks(row_bytes(type, kRow));
  for (auto _ : state) {
    decode(DType::kF16, sample.f16.data(), kRow, sample.x.data());
    encode(type, sample.x.data(), kRow, blocks.data());
    benchmark::DoNotOptimize(blocks.data());
  }
  count(state);
}

void weighted(benchmark::State& state, DType type) {
  Sample sample;
  std::vector<std::byte> blocks(row_bytes(type, kRow));
  for (auto _ : state) {
    decode(DType::kF16, sample.f16.data(), kRow, sample.x.data());
    encode_weighted(type, sample.x.data(), sample.importance.data(), kRow, blocks.data());
    benchmark::DoNotOptimize(blocks.data());
  }
  count(state);
}

const bool kRegistered = [] {
  for (const DTypeInfo& type : all_dtypes()) {
    const std::string name(type.name);
    if (can_encode(type.dtype))
      benchmark::RegisterBenchmark(("plain/" + name).c_str(), plain, type.dtype);
    if (grid_format(type.dtype) != nullptr)
      benchmark::RegisterBenchmark(("weighted/" + name).c_str(), weighted, type.dtype);
  }
  return true;
}();

}  // namespace
}  // namespace ridgeline
