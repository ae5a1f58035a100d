#include "ridgeline/quant/iq2.h"

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/iq_unpack.h"

namespace ridgeline {

using iq_grids::Unpacked;

void unpack_iq2_xxs(const std::byte* from, Unpacked& to) {
  BlockIQ2_XXS block;
  std::memcpy(&block, from, sizeof block);
  to.d = f16_to_f32(block.d) / 8.0f;
  for (int b = 0; b < 8; ++b) {
    const std::uint8_t* qs = block.qs + 8 * b;
    std::uint32_t word;
    std::memcpy(&word, qs + 4, sizeof word);
    to.scales[b] = iq_grids::scale_from(static_cast<int>(word >> 28));
    for (int l = 0; l < 4; ++l)
      iq_grids::put(to.codes + 32 * b + 8 * l, 8, 2, iq_grids::kIQ2_XXS[qs[l]],
                    iq_grids::eight_signs(word >> (7 * l)));
  }
}

void unpack_iq2_xs(const std::byte* from, Unpacked& to) {
  BlockIQ2_XS block;
  std::memcpy(&block, from, sizeof block);
  to.d = f16_to_f32(block.d) / 8.0f;
  for (int s = 0; s < 16; ++s)
    to.scales[s] = iq_grids::scale_from(block.scales[s / 2] >> (s % 2 * 4));
  for (int i = 0; i < 32; ++i)
    iq_grids::put(to.codes + 8 * i, 8, 2, iq_grids::kIQ2_XS[block.qs[i] & 511],
                  iq_grids::eight_signs(block.qs[i] >> 9));
}

void unpack_iq2_s(const std::byte* from, Unpacked& to) {
  BlockIQ2_S block;
  std::memcpy(&block, from, sizeof block);
  to.d = f16_to_f32(block.d) / 8.0f;
  for (int s = 0; s < 16; ++s)
    to.scales[s] = iq_grids::scale_from(block.scales[s / 2] >> (s % 2 * 4));
  for (int i = 0; i < 32; ++i) {
    const int entry = block.qs[i] | (block.qh[i / 4] >> (i % 4 * 2) & 3) << 8;
    iq_grids::put(to.codes + 8 * i, 8, 2, iq_grids::kIQ2_S[entry], block.signs[i]);
  }
}

void decode_iq2_xxs(const std::byte* blocks, std::int64_t n, float* out) {
  iq_grids::decode<sizeof(BlockIQ2_XXS), 32, unpack_iq2_xxs>(iq_grids::kIQ2Magnitudes, blocks, n,
                                                             out);
}
void decode_iq2_xs(const std::byte* blocks, std::int64_t n, float* out) {
  iq_grids::decode<sizeof(BlockIQ2_XS), 16, unpack_iq2_xs>(iq_grids::kIQ2Magnitudes, blocks, n,
                                                           out);
}
void decode_iq2_s(const std::byte* blocks, std::int64_t n, float* out) {
  iq_grids::decode<sizeof(BlockIQ2_S), 16, unpack_iq2_s>(iq_grids::kIQ2Magnitudes, blocks, n, out);
}

}  // namespace ridgeline
