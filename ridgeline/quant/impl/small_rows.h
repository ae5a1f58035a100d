#pragma once

#include "ridgeline/quant/impl/row_vectors.h"
#include "ridgeline/quant/q4_0.h"
#include "ridgeline/quant/q4_1.h"
#include "ridgeline/quant/q5_0.h"
#include "ridgeline/quant/q5_1.h"
#include "ridgeline/quant/q8_0.h"

// Plain rounding into blocks of 32. Formulas, their order and their rounding are those of
// ggml's reference quantizers (quant/rounding.h).
namespace ridgeline::RIDGELINE_ISA {
namespace {

void decode_f16(const std::byte* in, std::int64_t n, float* out) {
  std::int64_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= n; i += 16)
    _mm512_storeu_ps(
        out + i, _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + 2 * i))));
#elif defined(__F16C__)
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(
        out + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + 2 * i))));
#endif
  ridgeline::decode_f16_portable(in + 2 * i, n - i, out + i);
}

/// v + half to the nearest integer, ties up, within 0 .. 2·half - 1: rounding::level.
RIDGELINE_INLINE WideI centred_level(WideF v, int half) {
  const WideF shifted = v + (static_cast<float>(half) + 0.5f);
  return to_int(lesser(greater(shifted, WideF{}), wide(static_cast<float>(2 * half - 1))));
}
/// The same, within 0 .. top.
RIDGELINE_INLINE WideI level(WideF v, int top) {
  return to_int(lesser(greater(v + 0.5f, WideF{}), wide(static_cast<float>(top))));
}
/// rounding::round_half_away.
RIDGELINE_INLINE WideI round_half_away(WideF v) {
  const WideF x = lesser(greater(v, wide(-127.0f)), wide(127.0f));
  const WideI whole = to_int(x);
  const WideF rest = x - to_float(whole);
  const WideI one = WideI{} + 1;
  return whole + select(rest >= 0.5f, one, WideI{}) - select(rest <= -0.5f, one, WideI{});
}

/// Elements j and j + 16 share byte j of qs.
RIDGELINE_INLINE void store_nibbles(WideI low, WideI high, std::uint8_t* qs) {
  store_bytes((low & 15) | (high & 15) << 4, qs);
}
/// Bit i of qh is the fifth bit of element i.
RIDGELINE_INLINE void store_fifth_bits(WideI low, WideI high, std::uint8_t* qh) {
  constexpr std::int32_t kPlace[kWide] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const WideI place = load<WideI>(kPlace);
  std::int32_t lanes[kWide];
  store(((low >> 4) | (high >> 4) << 16) << place, lanes);
  const FourI four = (load<FourI>(lanes) | load<FourI>(lanes + 4)) |
                     (load<FourI>(lanes + 8) | load<FourI>(lanes + 12));
  const std::int32_t all = across(four, [](FourI a, FourI b) { return a | b; });
  __builtin_memcpy(qh, &all, sizeof all);
}

template <class Block, class Encode>
RIDGELINE_INLINE void each_block(const float* in, std::int64_t n, std::byte* blocks,
                                 Encode encode) {
  for (std::int64_t i = 0; i < n; i += Block::kElements) {
    Block block;
    encode(in + i, block);
    __builtin_memcpy(blocks, &block, sizeof block);
    blocks += sizeof block;
  }
}

void encode_q8_0(const float* in, std::int64_t n, std::byte* blocks) {
  each_block<BlockQ8_0>(in, n, blocks, [](const float* x, BlockQ8_0& block) {
    const float d = __builtin_fabsf(signed_absmax(x)) / 127.0f;
    // The levels follow the scale before it is rounded to f16, as in the reference.
    const float inverse = reciprocal(d);
    block.d = narrow(d);
    store_bytes(round_half_away(load(x) * inverse), block.qs);
    store_bytes(round_half_away(load(x + kWide) * inverse), block.qs + kWide);
  });
}

void encode_q4_0(const float* in, std::int64_t n, std::byte* blocks) {
  each_block<BlockQ4_0>(in, n, blocks, [](const float* x, BlockQ4_0& block) {
    // The extreme element gets level -8, which has no positive counterpart.
    const float d = signed_absmax(x) / -8.0f;
    const float inverse = reciprocal(d);
    block.d = narrow(d);
    store_nibbles(centred_level(load(x) * inverse, 8), centred_level(load(x + kWide) * inverse, 8),
                  block.qs);
  });
}

void encode_q5_0(const float* in, std::int64_t n, std::byte* blocks) {
  each_block<BlockQ5_0>(in, n, blocks, [](const float* x, BlockQ5_0& block) {
    const float d = signed_absmax(x) / -16.0f;  // as in Q4_0
    const float inverse = reciprocal(d);
    block.d = narrow(d);
    const WideI low = centred_level(load(x) * inverse, 16);
    const WideI high = centred_level(load(x + kWide) * inverse, 16);
    store_nibbles(low, high, block.qs);
    store_fifth_bits(low, high, block.qh);
  });
}

void encode_q4_1(const float* in, std::int64_t n, std::byte* blocks) {
  each_block<BlockQ4_1>(in, n, blocks, [](const float* x, BlockQ4_1& block) {
    const Ends range = ends(x);
    const float d = (range.max - range.min) / 15.0f;
    const float inverse = reciprocal(d);
    block.d = narrow(d);
    block.m = narrow(range.min);
    store_nibbles(level((load(x) - range.min) * inverse, 15),
                  level((load(x + kWide) - range.min) * inverse, 15), block.qs);
  });
}

void encode_q5_1(const float* in, std::int64_t n, std::byte* blocks) {
  each_block<BlockQ5_1>(in, n, blocks, [](const float* x, BlockQ5_1& block) {
    const Ends range = ends(x);
    const float d = (range.max - range.min) / 31.0f;
    const float inverse = reciprocal(d);
    block.d = narrow(d);
    block.m = narrow(range.min);
    const WideI low = level((load(x) - range.min) * inverse, 31);
    const WideI high = level((load(x + kWide) - range.min) * inverse, 31);
    store_nibbles(low, high, block.qs);
    store_fifth_bits(low, high, block.qh);
  });
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
