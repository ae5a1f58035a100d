#pragma once

#include "ridgeline/kernels/formats/nibbles.h"
#include "ridgeline/quant/int4.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// Four groups of kGroup elements of k together, so that their zeros are one group of 64
/// bytes; the last ones may be fewer, and what lacks of their zeros and scales is zero:
///
///   ┌──────────────────┬──────────────────────┬─────────────────────┬─────┬──────────┐
///   │ 16 zeros (bytes) │ 16 F16 scales        │ levels of group 4p, │ ... │ of group │
///   │ of 4p .. 4p + 3  │ of 4p .. 4p + 3      │ 256 bytes per 32    │     │ 4p + 3   │
///   └──────────────────┴──────────────────────┴─────────────────────┴─────┴──────────┘
///     64                 128                    8 kGroup
///
/// The levels of 32 as in Q4_0.
template <int kGroup>
struct Int4 {
  static constexpr int kElements = 32;  ///< that the kernels take at a time
  static constexpr int kMaxLevel = 15;
  static constexpr bool kHasMins = false;
  using File = BlockInt4<kGroup>;
  struct Block {
    const std::byte* zeros;
    const std::byte* scales;
    const std::byte* values;
  };

  static constexpr std::size_t kRuns = kGroup / 32;  ///< of 32 in a group
  static constexpr std::size_t kRunBytes = 4 * kGroupBytes;
  static constexpr std::size_t kScalesAt = kGroupBytes, kValuesAt = 3 * kGroupBytes;
  static constexpr std::size_t kFourBytes = kValuesAt + 4 * kRuns * kRunBytes;
  static constexpr std::size_t kBytesPer32 = kFourBytes / (4 * kRuns);

  static std::size_t panel_bytes(std::int64_t k) {
    const std::size_t runs = static_cast<std::size_t>(k) / 32, rest = runs % (4 * kRuns);
    return runs / (4 * kRuns) * kFourBytes + (rest > 0 ? kValuesAt + rest * kRunBytes : 0);
  }
  /// The 32 elements from 32 b on.
  static RIDGELINE_INLINE Block at(const std::byte* panel, std::int64_t b) {
    const auto run = static_cast<std::size_t>(b) % (4 * kRuns);
    const std::byte* four = panel + static_cast<std::size_t>(b) / (4 * kRuns) * kFourBytes;
    return {four + run / kRuns * 16, four + kScalesAt + run / kRuns * 32,
            four + kValuesAt + run * kRunBytes};
  }
  static void pack(Rows rows, std::int64_t k, std::byte* panel) {
    for (std::int64_t g = 0; g < k / kGroup; ++g, rows = rows.at(sizeof(File))) {
      const auto in_four = static_cast<std::size_t>(g % 4);
      std::byte* const four = panel + static_cast<std::size_t>(g / 4) * kFourBytes;
      if (in_four == 0) std::memset(four, 0, kValuesAt);
      transpose<std::uint8_t>(rows.at(offsetof(File, zero)), 1, four + in_four * 16);
      transpose<std::uint16_t>(rows, 1, four + kScalesAt + in_four * 32);
      transpose<std::uint32_t>(rows.at(offsetof(File, qs)), 4 * kRuns,
                               four + kValuesAt + in_four * kRuns * kRunBytes);
    }
  }

  static RIDGELINE_INLINE VecF scale(Block block, int v) {
    return load_f16(block.scales + v * (kVecBytes / 2));
  }
  static RIDGELINE_INLINE VecI zero(Block block, int v) {
    return load_bytes(block.zeros + v * kLanes);
  }
  template <int g>
  static RIDGELINE_INLINE VecI levels(const std::byte* values, int v) {
    return nibbles<g>(values, v);
  }
};

struct INT4_32 : Int4<32> {
  static constexpr DType kDType = DType::kINT4_32;
};
struct INT4_64 : Int4<64> {
  static constexpr DType kDType = DType::kINT4_64;
};
struct INT4_128 : Int4<128> {
  static constexpr DType kDType = DType::kINT4_128;
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
