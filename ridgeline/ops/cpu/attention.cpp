// Attention over the paged cache. An item is a tile of query positions of one
// sequence against one KV head. Its spans of 512 positions have one order; when
// there are too few items to go round (decoding a long context), the spans are
// computed by different threads and merged in that same order.

#include <algorithm>

#include "ridgeline/base/check.h"
#include "ridgeline/ops/cpu/for_rows.h"
#include "ridgeline/ops/cpu/tiling.h"

namespace ridgeline {

struct CpuBackend::SpanWork {
  AttentionSpan span;    ///< span_begin and span_end are set per span
  std::int64_t visible;  ///< positions that the tile's last row sees
  float* out;
  std::ptrdiff_t out_stride;

  std::int64_t spans() const { return (visible + kAttentionSpan - 1) / kAttentionSpan; }
  void compute(const KernelTable& kernels, std::int64_t index, float* state, float* scratch) const {
    AttentionSpan s = span;
    s.span_begin = index * kAttentionSpan;
    s.span_end = std::min(visible, s.span_begin + kAttentionSpan);
    s.ahead_end = visible;
    s.state = state;
    s.scratch = scratch;
    kernels.attention_span(s);
  }
  void finish(const KernelTable& kernels, const float* state) const {
    kernels.attention_finish(state, span.head_dim, span.group, span.positions, out, out_stride);
  }
  int rows() const { return span.positions * span.group; }
};

void CpuBackend::attend_whole(const SpanWork& work, std::span<float> scratch) const {
  const std::size_t state_floats =
      static_cast<std::size_t>(work.rows()) * kernels_->attention_state_floats(work.span.head_dim);
  float* total = scratch.data();
  float* part = total + state_floats;
  float* rest = part + state_floats;
  work.compute(*kernels_, 0, total, rest);
  for (std::int64_t i = 1; i < work.spans(); ++i) {
    work.compute(*kernels_, i, part, rest);
    kernels_->attention_merge(total, part, work.span.head_dim, work.rows());
  }
  work.finish(*kernels_, total);
}

void CpuBackend::attention(const KvCache& cache, int layer, Matrix q,
                           std::span<const SequenceSlice> slices, const AttentionParams& params,
                           Matrix out) {
  RIDGELINE_CHECK(params.window == 0 && params.softcap == 0.0F && params.sinks == nullptr &&
                  params.causal);
  const auto& kv = static_cast<const CpuKvCache&>(cache);
  const int kv_heads = kv.shape().kv_heads;
  const int head_dim = kv.shape().head_dim;
  const int group = static_cast<int>(q.cols / head_dim / kv_heads);
  const int tile_positions = kernels_->attention_tile_positions(group);

  std::int64_t items = 0, most_positions = 0, most_visible = 0;
  for (const SequenceSlice& slice : slices) {
    items += kv_heads * ((slice.rows + tile_positions - 1) / tile_positions);
    most_positions = std::max<std::int64_t>(most_positions, slice.rows);
    most_visible = std::max(most_visible, slice.first_position + slice.rows);
  }

  const auto work_at = [&](std::int64_t index) {
    auto slice = slices.begin();
    std::int64_t tiles = 0;
    for (;; ++slice) {
      tiles = (slice->rows + tile_positions - 1) / tile_positions;
      if (index < tiles * kv_heads) break;
      index -= tiles * kv_heads;
    }
    // Heads outermost, so that a head's K and V stay in the cache from tile to tile;
    // the longest tile first, so that threads end together.
    const int head = static_cast<int>(index / tiles);
    const std::int64_t first = (tiles - 1 - index % tiles) * tile_positions;
    const std::int64_t positions = std::min<std::int64_t>(tile_positions, slice->rows - first);
    const std::int64_t row = slice->first_row + first;
    const std::int64_t col = static_cast<std::int64_t>(head) * group * head_dim;
    SpanWork work{};
    work.span.kv_dtype = kv.shape().dtype;
    work.span.head_dim = head_dim;
    work.span.group = group;
    work.span.positions = static_cast<int>(positions);
    work.span.first_position = slice->first_position + first;
    work.span.scale = params.scale;
    work.span.q = q.data + row * q.stride + col;
    work.span.q_position_stride = q.stride;
    work.span.block_table = slice->block_tables[kv.group(layer)].data();
    work.span.k_cache = kv.k(layer, head);
    work.span.v_cache = kv.v(layer, head);
    work.span.block_stride = kv.block_stride();
    work.visible = work.span.first_position + positions;
    work.out = out.data + row * out.stride + col;
    work.out_stride = out.stride;
    return work;
  };

  const auto scratch = [&](int worker) {
    return std::span(reinterpret_cast<float*>(scratch_[static_cast<std::size_t>(worker)].data()),
                     scratch_floats_);
  };
  const bool split = most_positions == 1 && most_visible > kAttentionSpan &&
                     items <= kSplitItemsPerThread * pool_.size();
  if (!split) {
    pool_.parallel_for(
        items, [&](std::int64_t i, int worker) { attend_whole(work_at(i), scratch(worker)); });
    return;
  }

  const std::int64_t spans = (most_visible + kAttentionSpan - 1) / kAttentionSpan;
  const std::size_t state_floats =
      static_cast<std::size_t>(group) * kernels_->attention_state_floats(head_dim);
  auto* states = reinterpret_cast<float*>(span_states_.data());
  RIDGELINE_CHECK(static_cast<std::size_t>(items * spans) * state_floats * sizeof(float) <=
                  span_states_.size());
  const auto state_at = [&](std::int64_t item, std::int64_t span) {
    return states + static_cast<std::size_t>(item * spans + span) * state_floats;
  };
  pool_.parallel_for(items * spans, [&](std::int64_t i, int worker) {
    const SpanWork work = work_at(i % items);
    if (i / items < work.spans())
      work.compute(*kernels_, i / items, state_at(i % items, i / items), scratch(worker).data());
  });
  pool_.parallel_for(items, [&](std::int64_t i, int) {
    const SpanWork work = work_at(i);
    for (std::int64_t s = 1; s < work.spans(); ++s)
      kernels_->attention_merge(state_at(i, 0), state_at(i, s), head_dim, work.rows());
    work.finish(*kernels_, state_at(i, 0));
  });
}

void CpuBackend::append_kv(KvCache& cache, int layer, Matrix k, Matrix v,
                           std::span<const SequenceSlice> slices) {
  auto& kv = static_cast<CpuKvCache&>(cache);
  const int head_dim = kv.shape().head_dim;
  for (const SequenceSlice& slice : slices) {
    for_rows(slice.rows, k.cols, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) {
        const std::int64_t position = slice.first_position + r;
        const auto block =
            slice
                .block_tables[kv.group(layer)][static_cast<std::size_t>(position / kKvBlockTokens)];
        const int slot = static_cast<int>(position % kKvBlockTokens);
        const std::size_t offset = static_cast<std::size_t>(block) * kv.block_stride();
        const std::int64_t row = slice.first_row + r;
        for (int h = 0; h < kv.shape().kv_heads; ++h) {
          kv.kernel().store_k(k.data + row * k.stride + h * head_dim, head_dim, slot,
                              kv.k(layer, h) + offset);
          kv.kernel().store_v(v.data + row * v.stride + h * head_dim, head_dim, slot,
                              kv.v(layer, h) + offset);
        }
      }
    });
  }
}

}  // namespace ridgeline
