#pragma once

#include "ridgeline/kernels/impl/kv_rows.h"

// V out of K, for a latent cache (multi-head latent attention, DeepSeek-V2 2024, with the
// up-projections absorbed into q and the output): a token's value is the beginning of its
// key, stored once, in K's layout. The second product wants V's rows, so a chunk's keys are
// transposed to floats in the thread's scratch memory, 16 tokens by kLanes at a time.

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// rows[i][j] = rows[j][i]
RIDGELINE_INLINE void transpose(VecF (&rows)[kLanes]) {
#if defined(__AVX512F__)
  VecF t[kLanes];
#pragma GCC unroll 8
  for (int i = 0; i < kLanes; i += 2) {  // pairs of rows, then of pairs, in each 128 bits
    t[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < kLanes; i += 4) {
    rows[i] =
        _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t[i]), _mm512_castps_pd(t[i + 2])));
    rows[i + 1] =
        _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t[i]), _mm512_castps_pd(t[i + 2])));
    rows[i + 2] = _mm512_castpd_ps(
        _mm512_unpacklo_pd(_mm512_castps_pd(t[i + 1]), _mm512_castps_pd(t[i + 3])));
    rows[i + 3] = _mm512_castpd_ps(
        _mm512_unpackhi_pd(_mm512_castps_pd(t[i + 1]), _mm512_castps_pd(t[i + 3])));
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {  // a 4 x 4 of 128-bit pieces
    t[i] = _mm512_shuffle_f32x4(rows[i], rows[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_f32x4(rows[i], rows[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_f32x4(rows[i + 8], rows[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_f32x4(rows[i + 8], rows[i + 12], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    rows[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
    rows[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
    rows[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
    rows[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
  }
#elif defined(__AVX2__)
  VecF t[kLanes];
#pragma GCC unroll 4
  for (int i = 0; i < kLanes; i += 2) {
    t[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < kLanes; i += 4) {
    rows[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    rows[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    rows[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    rows[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const VecF low = _mm256_permute2f128_ps(rows[i], rows[i + 4], 0x20);
    rows[i + 4] = _mm256_permute2f128_ps(rows[i], rows[i + 4], 0x31);
    rows[i] = low;
  }
#else
  float square[kLanes][kLanes];
  for (int i = 0; i < kLanes; ++i)
    for (int j = 0; j < kLanes; ++j) square[j][i] = rows[i][j];
  for (int i = 0; i < kLanes; ++i) rows[i] = load(square[i]);
#endif
}

/// The elements [d, d + kLanes) of the keys of kLanes tokens; d is a multiple of kLanes.
template <class Kv>
RIDGELINE_INLINE void load_keys(const std::byte* k_block, int /*key_dim*/, int token, int d,
                                VecF (&rows)[kLanes]) {
  const std::byte* k = k_block + token * Kv::kTokenBytes;
#pragma GCC unroll 8
  for (int i = 0; i < kLanes; i += 2) {
    const std::byte* pair = k + (d + i) * kKvBlockTokens * Kv::kBytes;
    rows[i] = Kv::template k_row<0>(pair);
    rows[i + 1] = Kv::template k_row<1>(pair);
  }
}
template <class Kv>
requires(Kv::kQuantized) RIDGELINE_INLINE
    void load_keys(const std::byte* k_block, int key_dim, int token, int d, VecF (&rows)[kLanes]) {
  const auto scale = Kv::scale_of(
      load_f16(k_block + d / Kv::kScaleDims * Kv::kScaleRowBytes + token * Kv::kScaleBytes));
  const std::byte* levels = k_block + Kv::scale_bytes(key_dim) + token * Kv::kDot;
#pragma GCC unroll 4
  for (int i = 0; i < kLanes; i += Kv::kDot) {
    const VecI four = load_i(levels + (d + i) / Kv::kDot * Kv::kLineBytes);
    rows[i] = Kv::template decode<0>(four, scale);
    rows[i + 1] = Kv::template decode<1>(four, scale);
    rows[i + 2] = Kv::template decode<2>(four, scale);
    rows[i + 3] = Kv::template decode<3>(four, scale);
  }
}

/// The first `padded_dim` elements of a block's keys of `key_dim` as rows of floats, one per
/// token.
template <class Kv>
__attribute__((noinline)) void values_of_keys(const std::byte* k_block, int key_dim, int padded_dim,
                                              float* values) {
  for (int token = 0; token < kKvBlockTokens; token += kLanes) {
    for (int d = 0; d < padded_dim; d += kLanes) {
      VecF rows[kLanes];
      load_keys<Kv>(k_block, key_dim, token, d, rows);
      transpose(rows);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) store(values + (token + i) * padded_dim + d, rows[i]);
    }
  }
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
