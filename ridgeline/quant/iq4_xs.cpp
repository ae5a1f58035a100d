#include "ridgeline/quant/iq4_xs.h"

#include <cstring>

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/iq4_codebook.h"
#include "ridgeline/quant/isa.h"
#include "ridgeline/quant/rounding.h"

namespace ridgeline {
namespace {

constexpr int kSubBlocks = BlockIQ4_XS::kSubBlocks;
constexpr int kHalf = iq4::kBlock / 2;
constexpr int kScaleZero = 32;
static_assert(kSubBlocks * iq4::kBlock == BlockIQ4_XS::kElements);

void encode_block(const float* x, BlockIQ4_XS& block) {
  const SubBlockFits& fits = row_coders().fits;
  float scales[kSubBlocks];
  for (int s = 0; s < kSubBlocks; ++s) scales[s] = fits.iq4_scale(x + s * iq4::kBlock);
  const float d = -rounding::signed_absmax(scales, kSubBlocks) / static_cast<float>(kScaleZero);
  const float inverse = rounding::reciprocal(d);
  UnpackedIQ4_XS unpacked;
  for (int s = 0; s < kSubBlocks; ++s) {
    const int scale = rounding::clamp(rounding::round_half_even(inverse * scales[s]), -kScaleZero,
                                      kScaleZero - 1);
    unpacked.scales[s] = static_cast<std::int8_t>(scale);
    fits.iq4_codes(x + s * iq4::kBlock, rounding::reciprocal(d * static_cast<float>(scale)),
                   unpacked.codes + s * iq4::kBlock);
  }
  block = pack_iq4_xs(unpacked, f32_to_f16(d));
}

}  // namespace

BlockIQ4_XS pack_iq4_xs(const UnpackedIQ4_XS& from, std::uint16_t d) {
  BlockIQ4_XS block{};
  block.d = d;
  for (int s = 0; s < kSubBlocks; ++s) {
    const std::uint8_t* codes = from.codes + s * iq4::kBlock;
    for (int j = 0; j < kHalf; ++j)
      block.qs[s * kHalf + j] = static_cast<std::uint8_t>(codes[j] | codes[j + kHalf] << 4);
    const int bits = from.scales[s] + kScaleZero;
    block.scales_l[s / 2] =
        static_cast<std::uint8_t>(block.scales_l[s / 2] | (bits & 15) << (s % 2 * 4));
    block.scales_h = static_cast<std::uint16_t>(block.scales_h | (bits >> 4) << (2 * s));
  }
  return block;
}

UnpackedIQ4_XS unpack_iq4_xs(const BlockIQ4_XS& block) {
  UnpackedIQ4_XS out;
  for (int s = 0; s < kSubBlocks; ++s) {
    const int bits = (block.scales_l[s / 2] >> (s % 2 * 4) & 15) | (block.scales_h >> (2 * s) & 3)
                                                                       << 4;
    out.scales[s] = static_cast<std::int8_t>(bits - kScaleZero);
    for (int j = 0; j < kHalf; ++j) {
      out.codes[s * iq4::kBlock + j] = block.qs[s * kHalf + j] & 15;
      out.codes[s * iq4::kBlock + kHalf + j] = block.qs[s * kHalf + j] >> 4;
    }
  }
  return out;
}

// Exact: 11 + 6 + 7 significant bits.
void decode_iq4_xs(const std::byte* blocks, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; i += BlockIQ4_XS::kElements) {
    BlockIQ4_XS block;
    std::memcpy(&block, blocks, sizeof block);
    blocks += sizeof block;
    const UnpackedIQ4_XS unpacked = unpack_iq4_xs(block);
    for (int s = 0; s < kSubBlocks; ++s) {
      const float scale = f16_to_f32(block.d) * static_cast<float>(unpacked.scales[s]);
      for (int j = s * iq4::kBlock; j < (s + 1) * iq4::kBlock; ++j)
        out[i + j] = scale * static_cast<float>(iq4::kValues[unpacked.codes[j]]);
    }
  }
}

void encode_iq4_xs(const float* in, std::int64_t n, std::byte* blocks) {
  for (std::int64_t i = 0; i < n; i += BlockIQ4_XS::kElements) {
    BlockIQ4_XS block;
    encode_block(in + i, block);
    std::memcpy(blocks, &block, sizeof block);
    blocks += sizeof block;
  }
}

}  // namespace ridgeline
