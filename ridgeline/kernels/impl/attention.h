#pragma once

#include "ridgeline/kernels/impl/attention_span.h"
#include "ridgeline/kernels/impl/isa_entry.h"

// What attention exports: spans (attention_span.h), merging their states, and the division
// by the sum at the end.

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// About 96 rows in full tiles: the first tile brings the span into the second-level
/// cache, the others find it there.
int tile_positions(int group) {
  constexpr int kRows = 96;
  int positions = 1;  // of the smallest number of full tiles
  while (positions * group % kTileRows != 0) ++positions;
  if (positions * group > 2 * kRows) positions = 1;
  const int times = kRows / (positions * group);
  return positions * (times > 1 ? times : 1);
}

void attention_span(const AttentionSpan& span) {
  switch (span.kv_dtype) {
    case DType::kF32:
      return attend_span<InFloats<KvRows<DType::kF32>>>(span);
    case DType::kBF16:
      return attend_span<InFloats<KvRows<DType::kBF16>>>(span);
    case DType::kQ8_0:
      return attend_q8(span);
    default:
      return attend_span<InFloats<KvRows<DType::kF16>>>(span);
  }
}

bool saw_nothing(const float* state) { return state[0] == -__builtin_inff() && state[1] == 0.0f; }

void attention_merge(float* into, const float* from, int value_dim, int rows) {
  const int padded_dim = padded_head_dim(value_dim);
  const std::size_t floats = state_floats(value_dim);
  for (int r = 0; r < rows; ++r, into += floats, from += floats) {
    // A span of which the row saw nothing must leave no trace, not even in a zero's sign.
    if (saw_nothing(from)) continue;
    if (saw_nothing(into)) {
      __builtin_memcpy(into, from, floats * sizeof(float));
      continue;
    }
    const VecF into_max = splat(into[0]), from_max = splat(from[0]);
    const VecF new_max = max(from_max, into_max);
    const VecF base = max(new_max, splat(kLowestFloat));
    const VecF a = exp2_nonpositive(sub(into_max, base));
    const VecF b = exp2_nonpositive(sub(from_max, base));
    const VecF sum = fma(splat(from[1]), b, mul(splat(into[1]), a));
    for (int d = kStateHeader; d < kStateHeader + padded_dim; d += kLanes)
      store(into + d, fma(load(from + d), b, mul(load(into + d), a)));
    store_first(into, new_max, 1);
    store_first(into + 1, sum, 1);
  }
}

/// What acc is multiplied with: 1 / sum, or with a sink as one more score without a value.
RIDGELINE_INLINE VecF final_scale(const float* state, const float* sink) {
  if (sink == nullptr) return splat(1.0f / state[1]);
  const VecF max_score = splat(state[0]), sink_score = splat(*sink * kLog2E);
  const VecF base = max(max(max_score, sink_score), splat(kLowestFloat));
  const VecF a = exp2_nonpositive(sub(max_score, base));
  const VecF b = exp2_nonpositive(sub(sink_score, base));
  return div(a, fma(splat(state[1]), a, b));
}

void attention_finish(const float* state, int value_dim, int group, int positions,
                      const float* sinks, float* out, std::ptrdiff_t out_position_stride) {
  const std::size_t floats = state_floats(value_dim);
  for (int p = 0; p < positions; ++p) {
    float* row_out = out + p * out_position_stride;
    for (int h = 0; h < group; ++h, state += floats, row_out += value_dim) {
      const VecF scale = final_scale(state, sinks == nullptr ? nullptr : sinks + h);
      for (int d = 0; d < value_dim; d += kLanes)
        store_first(row_out + d, mul(load(state + kStateHeader + d), scale), value_dim - d);
    }
  }
}

inline constexpr AttentionKernels kAttentionKernels = {
    .state_floats = state_floats,
    .scratch_floats = scratch_floats<InFloats<KvRows<DType::kF32>>>,
    .tile_positions = tile_positions,
    .span = attention_span,
    .merge = attention_merge,
    .finish = attention_finish,
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
