#pragma once

#include "ridgeline/kernels/impl/panel.h"
#include "ridgeline/quant/q6_k.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// The file's block transposed in units of four bytes; d as F32, so that the block
/// keeps a multiple of 64 bytes (one percent more than the file).
///
///   ┌──────────┬──────────────────┬───────────────────┬───────────────────┐
///   │ d        │ 4 groups scales  │ 32 groups ql      │ 16 groups qh      │
///   └──────────┴──────────────────┴───────────────────┴───────────────────┘
///    16 F32      256 bytes          2,048 bytes         1,024 bytes
///
/// Of each half of the block (128 elements, rows a b c d of 32; quant/q6_k.h), row t is
/// nibble t / 2 of groups 8 (t % 2) .. + 7 of its ql, and bits 2 t of its qh.
struct Q6_K {
  static constexpr DType kDType = DType::kQ6_K;
  static constexpr int kMaxLevel = 63;
  static constexpr int kElements = 256;
  static constexpr int kSubElements = 16;
  static constexpr bool kHasMins = false;
  static constexpr int kZero = 32;
  using File = BlockQ6_K;
  static constexpr std::size_t kScalesAt = kGroupBytes;
  static constexpr std::size_t kLowAt = 5 * kGroupBytes;
  static constexpr std::size_t kHighAt = 37 * kGroupBytes;
  static constexpr std::size_t kBlockBytes = 53 * kGroupBytes;

  static void pack_block(Rows blocks, std::byte* to) {
    std::byte d_f16[kPanelWidth * 2];
    transpose<std::uint16_t>(blocks.at(offsetof(File, d)), 1, d_f16);
    for (int v = 0; v < kVecs; ++v)
      store(reinterpret_cast<float*>(to) + v * kLanes, load_f16(d_f16 + v * kLanes * 2));
    transpose<std::uint32_t>(blocks.at(offsetof(File, scales)), 4, to + kScalesAt);
    transpose<std::uint32_t>(blocks.at(offsetof(File, ql)), 32, to + kLowAt);
    transpose<std::uint32_t>(blocks.at(offsetof(File, qh)), 16, to + kHighAt);
  }
  /// Half a block: the rows a b c d.
  static constexpr int kChunkElements = 128;
  struct Chunk {
    const std::byte* low;
    const std::byte* high;
  };
  static RIDGELINE_INLINE Chunk chunk(const std::byte* block, int c) {
    const auto half = static_cast<std::size_t>(c);
    return {reload(block + kLowAt + half * 16 * kGroupBytes),
            reload(block + kHighAt + half * 8 * kGroupBytes)};
  }
  /// k-group g (0..31) of the chunk.
  template <int g>
  static RIDGELINE_INLINE VecI levels(Chunk chunk, int v) {
    constexpr int t = g / 8;
    const VecI low = load_i(chunk.low + (t % 2 * 8 + g % 8) * kGroupBytes + v * kVecBytes);
    const VecI high = load_i(chunk.high + g % 8 * kGroupBytes + v * kVecBytes);
    VecI upper = high;
    if constexpr (t < 2)
      upper = shift_left<4 - 2 * t>(high);
    else if constexpr (t == 3)
      upper = shift_right<2>(high);
    return bit_or(bit_and(t < 2 ? low : shift_right<4>(low), splat_i(0x0f0f0f0f)),
                  bit_and(upper, splat_i(0x30303030)));
  }
  static RIDGELINE_INLINE VecF d(const std::byte* block, int v) {
    return load(floats(block) + v * kLanes);
  }
  static RIDGELINE_INLINE void unpack_scales(const std::byte* block,
                                             std::int32_t (*out)[kPanelWidth]) {
    RIDGELINE_UNROLL for (int q = 0; q < 4; ++q)
      RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v)
        store_signed_bytes(load_i(block + kScalesAt + static_cast<std::size_t>(q) * kGroupBytes +
                                  v * kVecBytes),
                           out + 4 * q, v);
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
