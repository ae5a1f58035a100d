#pragma once

#include "ridgeline/kernels/impl/pack_activations.h"
#include "ridgeline/kernels/impl/panel.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

struct F16Halves {
  static constexpr DType kDType = DType::kF16;
  static RIDGELINE_INLINE VecF load(const std::byte* p) { return load_f16(p); }
};
struct BF16Halves {
  static constexpr DType kDType = DType::kBF16;
  static RIDGELINE_INLINE VecF load(const std::byte* p) { return load_bf16(p); }
};

/// 16-bit weights whose rows are rounded to 8 bits, one scale each, with the originals
/// behind them, of which LLM.int8() multiplies the columns of outliers:
///
///   ┌──────────────┬──────────────────────────────────┬──────────────────────────────┐
///   │ scales       │ groups of levels, as in panel.h  │ the file's: [k][16 rows]     │
///   └──────────────┴──────────────────────────────────┴──────────────────────────────┘
///     16 F32         16 bytes for each k (to 32)        32 bytes for each k
///
/// level = w · 127 / max|w| to nearest, ties to even, stored + 128; scale = max|w| / 127;
/// what is said of rows of activations in activations.h holds for these, too. What k
/// leaves of a block of 32 means zero.
template <class Halves>
struct Int8Row {
  static constexpr DType kDType = Halves::kDType;
  static constexpr int kMaxLevel = 255;
  static constexpr std::size_t kColumnBytes = kPanelWidth * 2;

  static RIDGELINE_INLINE std::size_t levels_at(std::int64_t i) {
    return kGroupBytes + static_cast<std::size_t>(i) * kPanelWidth;
  }
  static std::size_t columns_at(std::int64_t k) { return levels_at((k + 31) / 32 * 32); }
  static std::size_t panel_bytes(std::int64_t k) {
    return columns_at(k) + static_cast<std::size_t>((k + 1) / 2) * kGroupBytes;
  }
  /// A product with few outliers leaves the columns alone.
  static std::size_t read_bytes(std::int64_t k) { return columns_at(k); }

  /// Rows of v of a column.
  static RIDGELINE_INLINE VecF weight(const std::byte* column, int v) {
    return Halves::load(column + v * (kVecBytes / 2));
  }

  static void pack_panel(const std::byte* data, std::size_t row_stride, int count, std::int64_t k,
                         std::byte* panel) {
    const Rows rows{data, row_stride, count};
    std::byte* columns = panel + columns_at(k);
    transpose<std::uint16_t>(rows, k, columns);
    if (k % 2 != 0) std::memset(columns + static_cast<std::size_t>(k) * kColumnBytes, 0, 32);
    std::memset(panel, 0, kGroupBytes);
    std::memset(panel + kGroupBytes, 0x80, columns_at(k) - kGroupBytes);
    for (int r = 0; r < rows.count; ++r) pack_levels(rows.row(r), k, r, panel);
  }

  static void decode_row(const std::byte* panel, int row, std::int64_t k, float* out) {
    const std::byte* from = panel + columns_at(k) + static_cast<std::size_t>(row) * 2;
    for (std::int64_t i = 0; i < k; i += kLanes) {
      std::byte halves[kLanes * 2] = {};
      for (std::int64_t j = 0; j < kLanes && i + j < k; ++j)
        std::memcpy(halves + 2 * j, from + static_cast<std::size_t>(i + j) * kColumnBytes, 2);
      store_first(out + i, Halves::load(halves), k - i < kLanes ? static_cast<int>(k - i) : kLanes);
    }
  }

 private:
  static VecF weights(const std::byte* row, std::int64_t i, std::int64_t k) {
    if (i + kLanes <= k) return Halves::load(row + i * 2);
    std::byte rest[kLanes * 2] = {};
    std::memcpy(rest, row + i * 2, static_cast<std::size_t>(k - i) * 2);
    return Halves::load(rest);
  }
  static void pack_levels(const std::byte* row, std::int64_t k, int r, std::byte* panel) {
    VecI max_bits = zero_i();
    for (std::int64_t i = 0; i < k; i += kLanes)
      max_bits = max(max_bits, magnitude_bits(weights(row, i, k)));
    const BlockScale s = block_scale(max_bits);
    std::memcpy(panel + r * 4, &s.scale, 4);
    std::byte* to = panel + kGroupBytes + r * 4;
    for (std::int64_t i = 0; i < k; i += kLanes) {
      std::uint32_t fours[kLanes / 4];
      store_low_bytes(fours, to_int(mul(weights(row, i, k), splat(s.inverse))));
      for (std::size_t j = 0; j < kLanes / 4; ++j, to += kGroupBytes) {
        fours[j] ^= 0x80808080u;
        std::memcpy(to, &fours[j], 4);
      }
    }
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
