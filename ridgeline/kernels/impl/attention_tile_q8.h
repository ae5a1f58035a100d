#pragma once

#include "ridgeline/kernels/impl/attention_tile_base.h"

// The tiles of a Q8_0 cache: levels become floats in registers, exactly, so that a row gets
// the bits of an F32 cache that holds what the levels stand for.

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// f<i>() for the elements of a dword.
template <class F>
RIDGELINE_INLINE void for_each_of_dword(const F& f) {
  f.template operator()<0>();
  f.template operator()<1>();
  f.template operator()<2>();
  f.template operator()<3>();
}

/// Scores of kRows rows against the tokens of kPanels blocks, from `block` on.
template <class Kv, int kRows, int kPanels>
requires(Kv::kQuantized)
    __attribute__((noinline)) void score_tile(const float* q, int padded_dim, const ChunkBlocks& k,
                                              int block, float* scores) {
  constexpr int kVectors = kPanels * kVectorsPerPanel;
  const std::byte* now[kPanels];
  const std::byte* next[kPanels];
#pragma GCC unroll 4
  for (int b = 0; b < kPanels; ++b) {
    now[b] = k.now[block + b];
    next[b] = k.next[block + b];
  }
  VecF acc[kRows][kVectors];
  clear(acc);

  const std::ptrdiff_t levels = Kv::scale_bytes(padded_dim);
  for (int d = 0; d < padded_dim; d += kPanel, q += kRows * kPanel) {
    const std::ptrdiff_t scales = d / Kv::kScaleDims * Kv::kScaleRowBytes;
    typename Kv::Scale scale[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      scale[v] = Kv::scale_of(load_f16(now[v / kVectorsPerPanel] + scales +
                                       v % kVectorsPerPanel * kLanes * Kv::kScaleBytes));
#pragma GCC unroll 4
    for (int b = 0; b < kPanels; ++b) prefetch_lines<Kv::kLineBytes>(next[b] + scales);
#pragma GCC unroll 1
    for (int i = 0; i < kPanel; i += Kv::kDot) {
      const std::ptrdiff_t line = levels + (d + i) / Kv::kDot * Kv::kLineBytes;
#pragma GCC unroll 4
      for (int b = 0; b < kPanels; ++b) prefetch_lines<Kv::kLineBytes>(next[b] + line);
      const auto dim = [&]<int j>() __attribute__((always_inline)) {
        rank_one_update(
            acc, q + i + j, [&](int v) __attribute__((always_inline)) {
              return Kv::template decode<j>(load_i(now[v / kVectorsPerPanel] + line +
                                                   v % kVectorsPerPanel * kLanes * Kv::kDot),
                                            scale[v]);
            });
      };
      for_each_of_dword(dim);
    }
  }
  store_panels(acc, scores + block * kRows * kPanel, kRows * kPanel);
}

/// The tokens [token_begin, token_end) of a chunk, for kRows rows and kPanels panels of d.
template <class Kv, int kRows, int kPanels>
requires(Kv::kQuantized) __attribute__((noinline)) void weigh_tile(const WeighArgs& args) {
  constexpr int kVectors = kPanels * kVectorsPerPanel;
  // Tiles start at multiples of their width: one of a single panel lies within 32 d.
  constexpr int kPanelsPerScale = Kv::kScaleDims / kPanel;
  constexpr int kScales = (kPanels + kPanelsPerScale - 1) / kPanelsPerScale;
  constexpr int kDwordBytes = Kv::kDot;
  const std::ptrdiff_t panel_stride = args.panel_stride;
  float* const acc_out = args.acc;
  const int padded_dim = args.v_panels * kPanel;
  const std::ptrdiff_t group_bytes = padded_dim * kDwordBytes;
  const std::ptrdiff_t scales = args.first_panel / kPanelsPerScale * Kv::kScaleRowBytes;
  const std::ptrdiff_t levels =
      Kv::scale_bytes(padded_dim) + args.first_panel * kPanel * kDwordBytes;
  VecF acc[kRows][kVectors];
  load_rescaled(acc, args);
  for (int t = args.token_begin; t < args.token_end;) {
    const int block = t / kKvBlockTokens, begin = t % kKvBlockTokens;
    const int rest = args.token_end - block * kKvBlockTokens;
    const int end = rest < kKvBlockTokens ? rest : kKvBlockTokens;
    t += end - begin;
    const std::byte* now = args.v->now[block];
    const std::byte* next = args.v->next[block];
    float scale[kScales][kKvBlockTokens], offset[kScales][kKvBlockTokens];
#pragma GCC unroll 2
    for (int s = 0; s < kScales; ++s)
#pragma GCC unroll 2
      for (int i = 0; i < kKvBlockTokens; i += kLanes) {
        const auto of_tokens =
            Kv::scale_of(load_f16(now + scales + s * Kv::kScaleRowBytes + i * Kv::kScaleBytes));
        store(scale[s] + i, of_tokens.scale);
        store(offset[s] + i, of_tokens.offset);
      }
    prefetch_lines<Kv::kLineBytes>(next + scales);
    const float* p = args.p + block * panel_stride;
    for (int slot = begin / Kv::kDot * Kv::kDot; slot < end; slot += Kv::kDot) {
      const std::ptrdiff_t group = levels + slot / Kv::kDot * group_bytes;
      prefetch_lines<kPanels * kPanel * kDwordBytes>(next + group);
      const auto token = [&]<int j>() __attribute__((always_inline)) {
        if (slot + j < begin || slot + j >= end) return;
        rank_one_update(
            acc, p + slot + j, [&](int v) __attribute__((always_inline)) {
              const int s = v / kVectorsPerPanel / kPanelsPerScale;
              return Kv::template decode<j>(
                  load_i(now + group + v * kLanes * kDwordBytes),
                  {splat(scale[s][slot + j]), splat(offset[s][slot + j])});
            });
      };
      for_each_of_dword(token);
    }
  }
  store_panels(acc, acc_out, panel_stride);
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
