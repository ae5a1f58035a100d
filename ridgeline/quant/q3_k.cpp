#include "ridgeline/quant/q3_k.h"

#include <cstring>

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/isa.h"
#include "ridgeline/quant/rounding.h"
#include "ridgeline/quant/two_bits.h"

namespace ridgeline {
namespace {

constexpr int kSubBlocks = BlockQ3_K::kSubBlocks;
constexpr int kSubElements = BlockQ3_K::kElements / kSubBlocks;
constexpr int kLevels = 4;  // signed levels are [-4, 3]
constexpr int kScaleZero = 32;

int unpack_scale(const BlockQ3_K& block, int s) {
  const int bits =
      (block.scales[s % 8] >> (s / 8 * 4) & 15) | (block.scales[8 + s % 4] >> (s / 4 * 2) & 3) << 4;
  return bits - kScaleZero;
}

void pack_scale(int s, int scale, BlockQ3_K& block) {
  std::uint8_t& low = block.scales[s % 8];
  std::uint8_t& high = block.scales[8 + s % 4];
  low = static_cast<std::uint8_t>(low | (scale & 15) << (s / 8 * 4));
  high = static_cast<std::uint8_t>(high | (scale >> 4) << (s / 4 * 2));
}

void encode_block(const float* x, BlockQ3_K& block) {
  float scales[kSubBlocks];
  std::uint8_t levels[BlockQ3_K::kElements];
  row_coders().fits.q3_k(x, scales, levels);
  std::uint16_t d = 0;
  UnpackedQ3_K unpacked;
  const float scale_max = rounding::signed_absmax(scales, kSubBlocks);
  const float inverse = static_cast<float>(-kScaleZero) / scale_max;
  if (scale_max != 0.0f) d = f32_to_f16(1.0f / inverse);
  for (int s = 0; s < kSubBlocks; ++s) {
    const int scale = scale_max == 0.0f
                          ? -kScaleZero
                          : rounding::clamp(rounding::round_half_even(inverse * scales[s]),
                                            -kScaleZero, kScaleZero - 1);
    unpacked.scales[s] = static_cast<std::int8_t>(scale);
    // The scale has been rounded, so the levels are chosen anew against it.
    const float stored = f16_to_f32(d) * static_cast<float>(scale);
    if (stored == 0.0f) continue;
    for (int i = s * kSubElements; i < (s + 1) * kSubElements; ++i)
      levels[i] = static_cast<std::uint8_t>(
          kLevels +
          rounding::clamp(rounding::round_half_even(x[i] / stored), -kLevels, kLevels - 1));
  }
  std::memcpy(unpacked.levels, levels, sizeof levels);
  block = pack_q3_k(unpacked, d);
}

}  // namespace

BlockQ3_K pack_q3_k(const UnpackedQ3_K& from, std::uint16_t d) {
  BlockQ3_K block{};
  block.d = d;
  for (int s = 0; s < kSubBlocks; ++s) pack_scale(s, from.scales[s] + kScaleZero, block);
  std::uint8_t low[BlockQ3_K::kElements];
  for (int i = 0; i < BlockQ3_K::kElements; ++i) {
    block.hmask[i % 32] =
        static_cast<std::uint8_t>(block.hmask[i % 32] | from.levels[i] >> 2 << (i / 32));
    low[i] = from.levels[i] & 3;
  }
  two_bits::pack(low, block.qs);
  return block;
}

UnpackedQ3_K unpack_q3_k(const BlockQ3_K& block) {
  UnpackedQ3_K out;
  for (int s = 0; s < kSubBlocks; ++s)
    out.scales[s] = static_cast<std::int8_t>(unpack_scale(block, s));
  two_bits::unpack(block.qs, out.levels);
  for (int row = 0; row < 8; ++row)
    for (int j = 0; j < 32; ++j) {
      std::uint8_t& level = out.levels[row * 32 + j];
      level = static_cast<std::uint8_t>(level | (block.hmask[j] >> row & 1) << 2);
    }
  return out;
}

// Exact: 11 + 6 + 3 significant bits.
void decode_q3_k(const std::byte* blocks, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; i += BlockQ3_K::kElements) {
    BlockQ3_K block;
    std::memcpy(&block, blocks, sizeof block);
    blocks += sizeof block;
    const UnpackedQ3_K unpacked = unpack_q3_k(block);
    for (int s = 0; s < kSubBlocks; ++s) {
      const float scale = f16_to_f32(block.d) * static_cast<float>(unpacked.scales[s]);
      for (int j = s * kSubElements; j < (s + 1) * kSubElements; ++j)
        out[i + j] = scale * static_cast<float>(unpacked.levels[j] - kLevels);
    }
  }
}

void encode_q3_k(const float* in, std::int64_t n, std::byte* blocks) {
  for (std::int64_t i = 0; i < n; i += BlockQ3_K::kElements) {
    BlockQ3_K block;
    encode_block(in + i, block);
    std::memcpy(blocks, &block, sizeof block);
    blocks += sizeof block;
  }
}

}  // namespace ridgeline
