#include "ridgeline/tools/ablation/score_matrix_backend.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ridgeline/base/check.h"
#include "ridgeline/tools/row_softmax.h"

namespace ridgeline {
namespace {

/// Positions of V that a product takes at once: a tile of their scores stays in L1.
constexpr std::int64_t kChunk = 512;
/// Float kernels go through their inputs in blocks of so many.
constexpr std::int64_t kBlockInputs = 32;

std::int64_t round_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }

float* as_floats(Buffer& buffer) { return reinterpret_cast<float*>(buffer.data()); }

}  // namespace

ScoreMatrixBackend::ScoreMatrixBackend(std::unique_ptr<CpuBackend> inner)
    : ForwardingBackend(std::move(inner)),
      cpu_(static_cast<CpuBackend&>(*inner_)),
      kernel_(*find_weight_kernel(cpu_.kernels(), DType::kF16, ActivationPrecision::kExact)),
      packer_(*find_activation_kernel(cpu_.kernels(), ActivationFormat::kF32)) {
  // A block of K is a panel of 16 rows, and V goes into such.
  RIDGELINE_CHECK(cpu_.kernels().panel_width == kKvBlockTokens);
}

Result<std::unique_ptr<Backend>> ScoreMatrixBackend::create(const BackendOptions& options) {
  RIDGELINE_TRY(std::unique_ptr<CpuBackend> inner, CpuBackend::create(options));
  return std::unique_ptr<Backend>(new ScoreMatrixBackend(std::move(inner)));
}

Result<std::unique_ptr<KvCache>> ScoreMatrixBackend::make_kv_cache(const KvCacheShape& shape) {
  if (shape.dtype != DType::kF16 || shape.latent)
    return fail("attention with a score matrix reads a KV cache of F16 with K and V apart");
  return inner_->make_kv_cache(shape);
}

Status ScoreMatrixBackend::reserve(const Limits& limits) {
  RIDGELINE_TRY_STATUS(inner_->reserve(limits));
  const std::int64_t value_dim = limits.value_dim > 0 ? limits.value_dim : limits.head_dim;
  const std::int64_t panels = round_up(value_dim, kKvBlockTokens) / kKvBlockTokens;
  const std::int64_t group = limits.query_heads / std::max(1, limits.kv_heads);
  // Few rows take all query heads of a KV head at once.
  const std::int64_t rows = std::max<std::int64_t>(limits.max_rows, (kMaxTileRows - 1) * group);
  stride_ = round_up(limits.max_positions, kBlockInputs);
  scratch_.clear();
  for (int i = 0; i < threads(); ++i) {
    Scratch s;
    const auto take = [](Buffer& buffer, std::size_t bytes, const char* what) -> Status {
      RIDGELINE_TRY(buffer, Buffer::allocate(bytes, what));
      return {};
    };
    const auto floats = [](std::int64_t count) {
      return static_cast<std::size_t>(count) * sizeof(float);
    };
    RIDGELINE_TRY_STATUS(take(s.matrix, floats(rows * stride_), "a score matrix"));
    RIDGELINE_TRY_STATUS(take(s.queries, floats(rows * limits.head_dim), "queries"));
    RIDGELINE_TRY_STATUS(take(s.outputs, floats(rows * panels * kKvBlockTokens), "values' sums"));
    RIDGELINE_TRY_STATUS(take(s.keys, kernel_.panel_bytes(limits.head_dim), "keys"));
    RIDGELINE_TRY_STATUS(
        take(s.values, static_cast<std::size_t>(panels) * kernel_.panel_bytes(kChunk), "values"));
    RIDGELINE_TRY_STATUS(take(
        s.tile, packer_.tile_bytes(kMaxTileRows, std::max<std::int64_t>(limits.head_dim, kChunk)),
        "packed scores"));
    scratch_.push_back(std::move(s));
  }
  return {};
}

std::size_t ScoreMatrixBackend::workspace_bytes() const {
  std::size_t bytes = inner_->workspace_bytes();
  for (const Scratch& s : scratch_)
    bytes += s.matrix.size() + s.queries.size() + s.outputs.size() + s.keys.size() +
             s.values.size() + s.tile.size();
  return bytes;
}

struct ScoreMatrixBackend::HeadWork {
  const CpuKvCache& cache;
  int layer, kv_head, group;  ///< group: query heads of the KV head
  Matrix q, out;
  const SequenceSlice& slice;
  const AttentionParams& params;

  std::int64_t head_dim() const { return cache.shape().head_dim; }
  std::int64_t value_dim() const { return cache.shape().v_dim(); }
  std::int64_t value_panels() const {
    return round_up(value_dim(), kKvBlockTokens) / kKvBlockTokens;
  }
  /// Where the block of these positions begins, behind the head's block 0.
  std::size_t offset(std::int64_t block) const {
    const auto table = slice.block_tables[cache.group(layer)];
    return static_cast<std::size_t>(table[static_cast<std::size_t>(block)]) * cache.block_stride();
  }
  std::int64_t first_seen(std::int64_t position) const {
    return params.window > 0 ? std::max<std::int64_t>(0, position - params.window + 1) : 0;
  }
};

/// Heads [first_head, first_head + heads) of every row of the slice, row by row.
struct ScoreMatrixBackend::Rows {
  int first_head, heads;
  std::int64_t first_position, count;

  int head(std::int64_t row) const { return first_head + static_cast<int>(row % heads); }
  std::int64_t position(std::int64_t row) const { return first_position + row / heads; }
  /// Of a tile from `row` on.
  int tile_rows(std::int64_t row) const {
    return static_cast<int>(std::min<std::int64_t>(kMaxTileRows, count - row));
  }
  /// Behind what the tile's last row sees.
  std::int64_t tile_end(std::int64_t row) const { return position(row + tile_rows(row) - 1) + 1; }
};

void ScoreMatrixBackend::attention(const KvCache& cache, int layer, Matrix q,
                                   std::span<const SequenceSlice> slices,
                                   const AttentionParams& params, Matrix out) {
  RIDGELINE_CHECK(params.causal);
  const auto& kv = static_cast<const CpuKvCache&>(cache);
  const int kv_heads = kv.shape().kv_heads;
  const int group = static_cast<int>(q.cols / kv.shape().head_dim) / kv_heads;
  host_threads().parallel_for(std::ssize(slices) * kv_heads, [&](std::int64_t item, int worker) {
    attend({kv, layer, static_cast<int>(item % kv_heads), group, q, out,
            slices[static_cast<std::size_t>(item / kv_heads)], params},
           worker);
  });
}

void ScoreMatrixBackend::attend(const HeadWork& work, int worker) {
  const int first = work.kv_head * work.group;
  const std::int64_t position = work.slice.first_position, rows = work.slice.rows;
  if (rows < kMaxTileRows) {
    attend_rows(work, {first, work.group, position, rows * work.group}, worker);
    return;
  }
  for (int i = 0; i < work.group; ++i) attend_rows(work, {first + i, 1, position, rows}, worker);
}

void ScoreMatrixBackend::attend_rows(const HeadWork& work, const Rows& rows, int worker) {
  compute_scores(work, rows, worker);
  softmax_rows(work, rows, worker);
  weigh_values(work, rows, worker);
}

/// A block of K is [head_dim][16 tokens], and a panel [inputs][16 rows] in whole blocks of inputs.
const std::byte* ScoreMatrixBackend::key_panels(const HeadWork& work, std::int64_t block,
                                                int worker) {
  const std::byte* const keys = work.cache.k(work.layer, work.kv_head) + work.offset(block);
  if (work.head_dim() % kBlockInputs == 0) return keys;
  Buffer& panel = scratch_[static_cast<std::size_t>(worker)].keys;
  std::memcpy(panel.data(), keys, static_cast<std::size_t>(work.head_dim()) * kKvBlockTokens * 2);
  return panel.data();
}

void ScoreMatrixBackend::compute_scores(const HeadWork& work, const Rows& rows, int worker) {
  Scratch& s = scratch_[static_cast<std::size_t>(worker)];
  const std::int64_t head_dim = work.head_dim();
  float* const queries = as_floats(s.queries);
  for (std::int64_t r = 0; r < rows.count; ++r) {
    const std::int64_t row = work.slice.first_row + rows.position(r) - rows.first_position;
    const float* const q = work.q.data + row * work.q.stride + rows.head(r) * head_dim;
    for (std::int64_t i = 0; i < head_dim; ++i)
      queries[r * head_dim + i] = q[i] * work.params.scale;
  }
  for (std::int64_t r = 0; r < rows.count; r += kMaxTileRows) {
    const int count = rows.tile_rows(r);
    packer_.pack(queries + r * head_dim, head_dim, count, head_dim, s.tile.data());
    for (std::int64_t b = work.first_seen(rows.position(r)) / kKvBlockTokens;
         b * kKvBlockTokens < rows.tile_end(r); ++b)
      kernel_.tile[count](key_panels(work, b, worker), s.tile.data(), head_dim, 0, head_dim,
                          as_floats(s.matrix) + r * stride_ + b * kKvBlockTokens, stride_, false,
                          nullptr);
  }
}

void ScoreMatrixBackend::softmax_rows(const HeadWork& work, const Rows& rows, int worker) {
  const AttentionParams& params = work.params;
  for (std::int64_t r = 0; r < rows.count; ++r) {
    float* const row = as_floats(scratch_[static_cast<std::size_t>(worker)].matrix) + r * stride_;
    const std::int64_t begin = work.first_seen(rows.position(r)), end = rows.position(r) + 1;
    if (params.softcap > 0)
      for (std::int64_t i = begin; i < end; ++i)
        row[i] = params.softcap * std::tanh(row[i] / params.softcap);
    float most = largest_of(row + begin, end - begin);
    if (params.sinks != nullptr) most = std::max(most, params.sinks[rows.head(r)]);
    float sum = exponentiate(row + begin, end - begin, most);
    if (params.sinks != nullptr) sum += std::exp(params.sinks[rows.head(r)] - most);
    for (std::int64_t i = begin; i < end; ++i) row[i] /= sum;
    // What the tile's products with V go over, and the row does not see.
    std::fill(row, row + begin, 0.0F);
    std::fill(row + end, row + std::min(stride_, round_up(end + kMaxTileRows, kBlockInputs)), 0.0F);
  }
}

void ScoreMatrixBackend::weigh_values(const HeadWork& work, const Rows& rows, int worker) {
  Scratch& s = scratch_[static_cast<std::size_t>(worker)];
  const std::int64_t panels = work.value_panels(), width = panels * kKvBlockTokens;
  const std::size_t row_bytes = kKvBlockTokens * sizeof(std::uint16_t);
  const std::int64_t end = rows.position(rows.count - 1) + 1;
  const std::int64_t first = work.first_seen(rows.first_position) / kChunk * kChunk;
  float* const outputs = as_floats(s.outputs);
  for (std::int64_t begin = first; begin < end; begin += kChunk) {
    const std::int64_t n = std::min(kChunk, end - begin);
    const std::size_t panel_bytes = kernel_.panel_bytes(n);
    // A block of V is [16 tokens][value_dim], and a panel [positions][16 rows].
    for (std::int64_t p = 0; p < round_up(n, kBlockInputs); ++p) {
      std::byte* const to = s.values.data() + static_cast<std::size_t>(p) * row_bytes;
      const std::int64_t position = begin + p;
      const bool seen = p < n && position >= work.first_seen(rows.first_position);
      const std::byte* const from =
          seen ? work.cache.v(work.layer, work.kv_head) + work.offset(position / kKvBlockTokens) +
                     static_cast<std::size_t>(position % kKvBlockTokens * panels) * row_bytes
               : nullptr;
      for (std::int64_t i = 0; i < panels; ++i) {
        std::byte* const place = to + static_cast<std::size_t>(i) * panel_bytes;
        if (seen)
          std::memcpy(place, from + static_cast<std::size_t>(i) * row_bytes, row_bytes);
        else
          std::memset(place, 0, row_bytes);
      }
    }
    for (std::int64_t r = 0; r < rows.count; r += kMaxTileRows) {
      const int count = rows.tile_rows(r);
      const std::int64_t inputs = std::min(n, rows.tile_end(r) - begin);
      if (inputs <= 0) continue;
      const std::int64_t k = std::min(n, round_up(inputs, kBlockInputs));
      packer_.pack(as_floats(s.matrix) + r * stride_ + begin, stride_, count, k, s.tile.data());
      for (std::int64_t i = 0; i < panels; ++i)
        kernel_.tile[count](s.values.data() + static_cast<std::size_t>(i) * panel_bytes,
                            s.tile.data(), k, 0, k, outputs + r * width + i * kKvBlockTokens, width,
                            begin > first, nullptr);
    }
  }
  for (std::int64_t r = 0; r < rows.count; ++r) {
    const std::int64_t row = work.slice.first_row + rows.position(r) - rows.first_position;
    std::copy_n(outputs + r * width, work.value_dim(),
                work.out.data + row * work.out.stride + rows.head(r) * work.value_dim());
  }
}

}  // namespace ridgeline
