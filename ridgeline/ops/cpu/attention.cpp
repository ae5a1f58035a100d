// Attention over the paged cache. An item is a tile of query positions of one
// sequence, for one KV head and query heads that share it. Its spans of 512 positions have one
// order; when there are too few items to go round (decoding a long context), the spans are computed
// by different threads and merged in that same order.

#include <algorithm>

#include "ridgeline/base/check.h"
#include "ridgeline/ops/cpu/for_rows.h"
#include "ridgeline/ops/cpu/tiling.h"

namespace ridgeline {

struct CpuBackend::SpanWork {
  AttentionSpan span;          ///< span_begin and span_end are set per span
  std::int64_t first_visible;  ///< position that a row of the tile sees
  std::int64_t visible;        ///< behind the last one
  const float* sinks;          ///< of the tile's heads, or null
  float* out;
  std::ptrdiff_t out_stride;

  std::int64_t first_span() const { return first_visible / kAttentionSpan; }
  std::int64_t end_span() const { return (visible + kAttentionSpan - 1) / kAttentionSpan; }
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
    kernels.attention_finish(state, span.value_dim, span.group, span.positions, sinks, out,
                             out_stride);
  }
  int rows() const { return span.positions * span.group; }
};

void CpuBackend::attend_whole(const SpanWork& work, std::span<float> scratch) const {
  const std::size_t state_floats =
      static_cast<std::size_t>(work.rows()) * kernels_->attention_state_floats(work.span.value_dim);
  float* total = scratch.data();
  float* part = total + state_floats;
  float* rest = part + state_floats;
  work.compute(*kernels_, work.first_span(), total, rest);
  for (std::int64_t i = work.first_span() + 1; i < work.end_span(); ++i) {
    work.compute(*kernels_, i, part, rest);
    kernels_->attention_merge(total, part, work.span.value_dim, work.rows());
  }
  work.finish(*kernels_, total);
}

void CpuBackend::attention(const KvCache& cache, int layer, Matrix q,
                           std::span<const SequenceSlice> slices, const AttentionParams& params,
                           Matrix out) {
  const auto& kv = static_cast<const CpuKvCache&>(cache);
  const std::int64_t kept = kv.shape().window(layer);
  RIDGELINE_CHECK(params.causal ? kept == 0 || (params.window > 0 && params.window <= kept)
                                : kept == 0 && params.window == 0);
  const HeadTiling heads(static_cast<int>(q.cols / kv.shape().head_dim), kv.shape().kv_heads);
  const int tile_positions = kernels_->attention_tile_positions(heads.most);
  const auto tiles_of = [&](const SequenceSlice& slice) {
    return (slice.rows + tile_positions - 1) / tile_positions;
  };

  std::int64_t items = 0;
  for (const SequenceSlice& slice : slices) items += heads.runs() * tiles_of(slice);

  const auto work_at = [&](std::int64_t index) {
    auto slice = slices.begin();
    for (; index >= tiles_of(*slice) * heads.runs(); ++slice)
      index -= tiles_of(*slice) * heads.runs();
    const std::int64_t tiles = tiles_of(*slice);
    // Heads outermost, so that a head's K and V stay in the cache from tile to tile;
    // the longest tile first, so that threads end together.
    const HeadTiling::Run run = heads.run(static_cast<int>(index / tiles));
    const std::int64_t first = (tiles - 1 - index % tiles) * tile_positions;
    const std::int64_t positions = std::min<std::int64_t>(tile_positions, slice->rows - first);
    const std::int64_t row = slice->first_row + first;
    SpanWork work{};
    work.span.kv_dtype = kv.shape().dtype;
    work.span.head_dim = kv.shape().head_dim;
    work.span.value_dim = kv.shape().v_dim();
    work.span.latent = kv.shape().latent;
    work.span.group = run.count;
    work.span.positions = static_cast<int>(positions);
    work.span.first_position = slice->first_position + first;
    work.span.causal = params.causal;
    work.span.window = params.window;
    work.span.scale = params.scale;
    work.span.softcap = params.softcap;
    work.span.q = q.data + row * q.stride + std::int64_t{run.first} * work.span.head_dim;
    work.span.q_position_stride = q.stride;
    work.span.block_table = slice->block_tables[kv.group(layer)].data();
    work.span.k_cache = kv.k(layer, run.kv_head);
    work.span.v_cache = kv.v(layer, run.kv_head);
    work.span.block_stride = kv.block_stride();
    if (params.window > 0)
      work.first_visible = std::max<std::int64_t>(0, work.span.first_position - params.window + 1);
    work.visible =
        params.causal ? work.span.first_position + positions : slice->first_position + slice->rows;
    work.sinks = params.sinks == nullptr ? nullptr : params.sinks + run.first;
    work.out = out.data + row * out.stride + std::int64_t{run.first} * work.span.value_dim;
    work.out_stride = out.stride;
    return work;
  };

  const auto scratch = [&](int worker) {
    return std::span(reinterpret_cast<float*>(scratch_[static_cast<std::size_t>(worker)].data()),
                     scratch_floats_);
  };
  std::int64_t most_positions = 0, most_spans = 0;
  for (const SequenceSlice& slice : slices)
    most_positions = std::max<std::int64_t>(most_positions, slice.rows);
  const bool few = most_positions == 1 && items <= kSplitItemsPerThread * pool_.size();
  for (std::int64_t i = 0; few && i < items; ++i) {
    const SpanWork work = work_at(i);
    most_spans = std::max(most_spans, work.end_span() - work.first_span());
  }
  if (most_spans <= 1) {
    pool_.parallel_for(
        items, [&](std::int64_t i, int worker) { attend_whole(work_at(i), scratch(worker)); });
    return;
  }

  const std::size_t state_floats =
      static_cast<std::size_t>(heads.most) * kernels_->attention_state_floats(kv.shape().v_dim());
  auto* states = reinterpret_cast<float*>(span_states_.data());
  RIDGELINE_CHECK(static_cast<std::size_t>(items * most_spans) * state_floats * sizeof(float) <=
                  span_states_.size());
  // Of an item's spans, the first one that it sees being 0.
  const auto state_at = [&](std::int64_t item, std::int64_t span) {
    return states + static_cast<std::size_t>(item * most_spans + span) * state_floats;
  };
  pool_.parallel_for(items * most_spans, [&](std::int64_t i, int worker) {
    const SpanWork work = work_at(i % items);
    const std::int64_t span = work.first_span() + i / items;
    if (span < work.end_span())
      work.compute(*kernels_, span, state_at(i % items, i / items), scratch(worker).data());
  });
  pool_.parallel_for(items, [&](std::int64_t i, int) {
    const SpanWork work = work_at(i);
    for (std::int64_t s = 1; s < work.end_span() - work.first_span(); ++s)
      kernels_->attention_merge(state_at(i, 0), state_at(i, s), work.span.value_dim, work.rows());
    work.finish(*kernels_, state_at(i, 0));
  });
}

void CpuBackend::append_kv(KvCache& cache, int layer, Matrix k, Matrix v,
                           std::span<const SequenceSlice> slices) {
  auto& kv = static_cast<CpuKvCache&>(cache);
  const int head_dim = kv.shape().head_dim, value_dim = kv.shape().v_dim();
  const bool latent = kv.shape().latent;
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
          if (!latent)
            kv.kernel().store_v(v.data + row * v.stride + h * value_dim, value_dim, slot,
                                kv.v(layer, h) + offset);
        }
      }
    });
  }
}

}  // namespace ridgeline
