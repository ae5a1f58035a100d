#include "ridgeline/quant/iq3.h"

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/iq_unpack.h"

namespace ridgeline {

using iq_grids::Unpacked;

void unpack_iq3_xxs(const std::byte* from, Unpacked& to) {
  BlockIQ3_XXS block;
  std::memcpy(&block, from, sizeof block);
  to.d = f16_to_f32(block.d) / 4.0f;
  for (int b = 0; b < 8; ++b) {
    std::uint32_t word;
    std::memcpy(&word, block.words + 4 * b, sizeof word);
    to.scales[b] = iq_grids::scale_from(static_cast<int>(word >> 28));
    for (int l = 0; l < 8; ++l)
      iq_grids::put(to.codes + 32 * b + 4 * l, 4, 4, iq_grids::kIQ3_XXS[block.qs[8 * b + l]],
                    iq_grids::eight_signs(word >> (l / 2 * 7)) >> (l % 2 * 4));
  }
}

void unpack_iq3_s(const std::byte* from, Unpacked& to) {
  BlockIQ3_S block;
  std::memcpy(&block, from, sizeof block);
  to.d = f16_to_f32(block.d);
  for (int b = 0; b < 8; ++b)
    to.scales[b] = iq_grids::scale_from(block.scales[b / 2] >> (b % 2 * 4));
  for (int i = 0; i < 64; ++i) {
    const int entry = block.qs[i] | (block.qh[i / 8] >> (i % 8) & 1) << 8;
    iq_grids::put(to.codes + 4 * i, 4, 4, iq_grids::kIQ3_S[entry],
                  block.signs[i / 2] >> (i % 2 * 4));
  }
}

void decode_iq3_xxs(const std::byte* blocks, std::int64_t n, float* out) {
  iq_grids::decode<sizeof(BlockIQ3_XXS), 32, unpack_iq3_xxs>(iq_grids::kIQ3_XXSMagnitudes, blocks,
                                                             n, out);
}
void decode_iq3_s(const std::byte* blocks, std::int64_t n, float* out) {
  iq_grids::decode<sizeof(BlockIQ3_S), 32, unpack_iq3_s>(iq_grids::kIQ3_SMagnitudes, blocks, n,
                                                         out);
}

}  // namespace ridgeline
