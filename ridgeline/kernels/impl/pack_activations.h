#pragma once

#include "ridgeline/kernels/impl/activations.h"
#include "ridgeline/kernels/impl/isa_entry.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

inline std::size_t padded_k(std::int64_t k) { return static_cast<std::size_t>((k + 31) / 32 * 32); }

template <ActivationFormat kFormat>
std::size_t tile_bytes(int rows, std::int64_t k) {
  return static_cast<std::size_t>(rows) * tile_row_bytes(kFormat, k);
}

using PackSubTile = void (*)(const float* x, std::ptrdiff_t x_stride, int rows, std::int64_t k,
                             std::byte* tile);
template <ActivationFormat kFormat, PackSubTile pack_sub_tile>
void pack_tile(const float* x, std::ptrdiff_t x_stride, int rows, std::int64_t k, std::byte* tile) {
  for (int first = 0; first < rows; first += kInterleave) {
    const int count = rows - first < kInterleave ? rows - first : kInterleave;
    pack_sub_tile(x + first * x_stride, x_stride, count, k, tile);
    tile += static_cast<std::size_t>(count) * tile_row_bytes(kFormat, k);
  }
}

template <ActivationFormat kFormat, PackSubTile pack_sub_tile>
constexpr ActivationKernel activation_kernel() {
  return {kFormat, tile_bytes<kFormat>, pack_tile<kFormat, pack_sub_tile>};
}

inline void pack_f32(const float* x, std::ptrdiff_t x_stride, int rows, std::int64_t k,
                     std::byte* tile) {
  auto* out = reinterpret_cast<float*>(tile);
  const auto padded = static_cast<std::int64_t>(padded_k(k));
  for (int r = 0; r < rows; ++r) {
    const float* row = x + r * x_stride;
    for (std::int64_t i = 0; i < k; ++i) out[i * rows + r] = row[i];
    for (std::int64_t i = k; i < padded; ++i) out[i * rows + r] = 0.0f;
  }
}

inline void pack_bf16(const float* x, std::ptrdiff_t x_stride, int rows, std::int64_t k,
                      std::byte* tile) {
  const auto padded = static_cast<std::int64_t>(padded_k(k));
  for (int r = 0; r < rows; ++r) {
    const float* row = x + r * x_stride;
    for (std::int64_t i = 0; i < padded; i += kLanes) {
      std::uint32_t two[kLanes / 2];
      const VecF v = i + kLanes <= k ? load(row + i)
                                     : load_first(row + i, i < k ? static_cast<int>(k - i) : 0);
      store_bf16(two, v);
      for (int j = 0; j < kLanes / 2; ++j)
        std::memcpy(tile + ((i / 2 + j) * rows + r) * 4, &two[j], 4);
    }
  }
}

/// What a block's absolute maximum makes of it: q = x · inverse, x = q · scale.
struct BlockScale {
  float inverse;
  float scale;
};
RIDGELINE_INLINE BlockScale block_scale(VecI max_bits) {
  // As integers, the bits of magnitudes are in order, with infinity and NaN on top.
  const std::int32_t top = reduce_max(max_bits);
  float max;
  std::memcpy(&max, &top, sizeof max);
  if (max < 1e-30f) return {0.0f, 0.0f};
  return {127.0f / max, max / 127.0f + (max - max)};
}

RIDGELINE_INLINE VecI magnitude_bits(VecF v) { return bit_and(bits(v), splat_i(0x7fffffff)); }

/// 16 levels as bytes; returns their sum.
RIDGELINE_INLINE std::int32_t quantize16(const float* x, float inverse, std::int8_t* q) {
  VecI sum = zero_i();
  const VecF by = splat(inverse);
  for (int i = 0; i < 16; i += kLanes) {
    const VecI level = to_int(mul(load(x + i), by));
    sum = add(sum, level);
    store_low_bytes(q + i, level);
  }
  return reduce_add(sum);
}
RIDGELINE_INLINE std::int32_t negated(std::int32_t a) {  // a NaN's level is INT32_MIN
  return static_cast<std::int32_t>(0u - static_cast<std::uint32_t>(a));
}
RIDGELINE_INLINE std::int32_t correction(std::int32_t sum) {
  return static_cast<std::int32_t>(0u - static_cast<std::uint32_t>(sum) * kQ8x256Zero);
}
RIDGELINE_INLINE std::int32_t wrapping_sum(std::int32_t a, std::int32_t b) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
}

inline void pack_q8x32(const float* x, std::ptrdiff_t x_stride, int rows, std::int64_t k,
                       std::byte* tile) {
  const auto count = static_cast<std::size_t>(rows);
  for (std::int64_t b = 0; b < k / 32; ++b) {
    std::byte* block = tile + static_cast<std::size_t>(b) * kQ8x32RowBytes * count;
    for (std::size_t r = 0; r < count; ++r) {
      const float* row = x + static_cast<std::ptrdiff_t>(r) * x_stride + b * 32;
      VecI max_bits = magnitude_bits(load(row));
      for (int i = kLanes; i < 32; i += kLanes)
        max_bits = max(max_bits, magnitude_bits(load(row + i)));
      const BlockScale s = block_scale(max_bits);
      std::int8_t q[32];
      const std::int32_t first = quantize16(row, s.inverse, q);
      const std::int32_t negative_sum =
          negated(wrapping_sum(first, quantize16(row + 16, s.inverse, q + 16)));
      for (std::size_t j = 0; j < kQ8x32Dwords; ++j)
        std::memcpy(block + (j * count + r) * 4, q + 4 * j, 4);
      std::memcpy(block + (8 * count + r) * 4, &negative_sum, 4);
      std::memcpy(block + (9 * count + r) * 4, &s.scale, 4);
    }
  }
}

inline void pack_q8x256(const float* x, std::ptrdiff_t x_stride, int rows, std::int64_t k,
                        std::byte* tile) {
  const auto count = static_cast<std::size_t>(rows);
  for (std::int64_t b = 0; b < k / 256; ++b) {
    std::byte* block = tile + static_cast<std::size_t>(b) * kQ8x256RowBytes * count;
    for (std::size_t r = 0; r < count; ++r) {
      const float* row = x + static_cast<std::ptrdiff_t>(r) * x_stride + b * 256;
      const auto put = [&](int dword, const void* value) {
        std::memcpy(block + (static_cast<std::size_t>(dword) * count + r) * 4, value, 4);
      };
      VecI max_bits = zero_i();
      for (int i = 0; i < 256; i += kLanes) max_bits = max(max_bits, magnitude_bits(load(row + i)));
      const BlockScale s = block_scale(max_bits);
      std::int8_t q[256];
      std::int32_t sums16[16], sums32[8];
      for (int i = 0; i < 8; ++i) {
        sums16[2 * i] = quantize16(row + 32 * i, s.inverse, q + 32 * i);
        sums16[2 * i + 1] = quantize16(row + 32 * i + 16, s.inverse, q + 32 * i + 16);
        sums32[i] = wrapping_sum(sums16[2 * i], sums16[2 * i + 1]);
      }
      for (int i = 0; i < 16; ++i) {
        const std::int32_t negative = correction(sums16[i]);
        put(kQ8x256Sums16 + i, &negative);
      }
      const auto put_pairs = [&](int dword, const std::int32_t* sums, int pairs) {
        for (int i = 0; i < pairs; ++i) {
          const int low = i / 2 * 4 + i % 2;
          const std::int16_t pair[2] = {static_cast<std::int16_t>(sums[low]),
                                        static_cast<std::int16_t>(sums[low + 2])};
          put(dword + i, pair);
        }
      };
      put_pairs(kQ8x256Pairs32, sums32, 4);
      put_pairs(kQ8x256Pairs16, sums16, 8);
      for (int j = 0; j < kQ8x256Dwords; ++j) put(j, q + 4 * j);
      put(kQ8x256Scale, &s.scale);
    }
  }
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
