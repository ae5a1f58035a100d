#pragma once

#include "ridgeline/kernels/impl/pack_activations.h"

// Rows rounded to 8 bits with one scale each, without or with their outliers.

namespace ridgeline::RIDGELINE_ISA {
namespace {

RIDGELINE_INLINE VecF load_until(const float* row, std::int64_t i, std::int64_t k) {
  if (i + kLanes <= k) return load(row + i);
  return load_first(row + i, i < k ? static_cast<int>(k - i) : 0);
}
/// x, or 0 in place of outliers.
RIDGELINE_INLINE VecF without_outliers(VecF x) {
  return select(less(abs(x), splat(kOutlierThreshold)), x, zero_f());
}
RIDGELINE_INLINE bool is_outlier(float x) { return !(__builtin_fabsf(x) < kOutlierThreshold); }

/// The scale of a row: of what is no outlier, if those are treated apart.
template <bool kWithOutliers>
RIDGELINE_INLINE BlockScale row_scale(const float* row, std::int64_t k) {
  VecI max_bits = zero_i();
  for (std::int64_t i = 0; i < k; i += kLanes) {
    const VecF x = load_until(row, i, k);
    max_bits = max(max_bits, magnitude_bits(kWithOutliers ? without_outliers(x) : x));
  }
  return block_scale(max_bits);
}

/// The row's outliers in a block, appended to its list; returns how many.
inline std::uint32_t list_outliers(const float* row, std::int64_t begin, std::int64_t k,
                                   float* values, std::uint8_t* places) {
  std::uint32_t count = 0;
  const std::int64_t end = begin + kInt8Block < k ? begin + kInt8Block : k;
  for (std::int64_t i = begin; i < end; ++i) {
    if (!is_outlier(row[i])) continue;
    values[count] = row[i];
    places[count++] = static_cast<std::uint8_t>(i - begin);
  }
  return count;
}

template <bool kWithOutliers>
void pack_int8(const float* x, std::ptrdiff_t x_stride, int rows, std::int64_t k, std::byte* tile) {
  const auto count = static_cast<std::size_t>(rows);
  const std::size_t block_bytes = int8_block_bytes(kWithOutliers) * count;
  std::byte* const lists = tile + int8_blocks_bytes(kWithOutliers, k) * count;
  const std::size_t capacity = int8_outliers_max(k);
  for (std::size_t r = 0; r < count; ++r) {
    const float* row = x + static_cast<std::ptrdiff_t>(r) * x_stride;
    auto* values = reinterpret_cast<float*>(lists) + r * capacity;
    auto* places = reinterpret_cast<std::uint8_t*>(lists + count * capacity * 4) + r * capacity;
    const BlockScale s = row_scale<kWithOutliers>(row, k);
    std::memcpy(tile + r * 4, &s.scale, 4);
    std::byte* block = tile + count * 4;
    std::uint32_t outliers_before = 0;
    for (std::int64_t begin = 0; begin < k; begin += kInt8Block, block += block_bytes) {
      std::int8_t q[kInt8Block];
      VecI sum = zero_i(), top = zero_i();
      for (int i = 0; i < kInt8Block; i += kLanes) {
        VecF v = load_until(row, begin + i, k);
        if constexpr (kWithOutliers) {
          top = max(top, magnitude_bits(v));
          v = without_outliers(v);
        }
        const VecI level = to_int(mul(v, splat(s.inverse)));
        sum = add(sum, level);
        store_low_bytes(q + i, level);
      }
      const auto put = [&](int dword, const void* value) {
        std::memcpy(block + (static_cast<std::size_t>(dword) * count + r) * 4, value, 4);
      };
      for (int j = 0; j < kInt8Dwords; ++j) put(j, q + 4 * j);
      const std::int32_t correction =
          negated(static_cast<std::int32_t>(static_cast<std::uint32_t>(reduce_add(sum)) * 128u));
      put(kInt8Correction, &correction);
      if constexpr (kWithOutliers) {
        const std::int32_t top_bits = reduce_max(top);
        float largest;
        std::memcpy(&largest, &top_bits, sizeof largest);
        const std::uint32_t found =
            is_outlier(largest)
                ? list_outliers(row, begin, k, values + outliers_before, places + outliers_before)
                : 0;
        put(kInt8FirstOutlier, &outliers_before);
        put(kInt8Outliers, &found);
        outliers_before += found;
      }
    }
  }
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
