#include "ridgeline/quant/iq4_nl.h"

#include <cstring>

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/iq4_codebook.h"
#include "ridgeline/quant/isa.h"
#include "ridgeline/quant/rounding.h"

namespace ridgeline {
namespace {

constexpr int kHalf = BlockIQ4_NL::kElements / 2;
static_assert(BlockIQ4_NL::kElements == iq4::kBlock);

}  // namespace

// Exact: 11 + 7 significant bits.
void decode_iq4_nl(const std::byte* blocks, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; i += BlockIQ4_NL::kElements) {
    BlockIQ4_NL block;
    std::memcpy(&block, blocks, sizeof block);
    blocks += sizeof block;
    const float d = f16_to_f32(block.d);
    float* y = out + i;
    for (int j = 0; j < kHalf; ++j) {
      y[j] = d * static_cast<float>(iq4::kValues[block.qs[j] & 15]);
      y[j + kHalf] = d * static_cast<float>(iq4::kValues[block.qs[j] >> 4]);
    }
  }
}

void encode_iq4_nl(const float* in, std::int64_t n, std::byte* blocks) {
  const SubBlockFits& fits = row_coders().fits;
  for (std::int64_t i = 0; i < n; i += BlockIQ4_NL::kElements) {
    const float d = fits.iq4_scale(in + i);
    std::uint8_t codes[iq4::kBlock];
    fits.iq4_codes(in + i, rounding::reciprocal(d), codes);
    BlockIQ4_NL block;
    block.d = f32_to_f16(d);
    for (int j = 0; j < kHalf; ++j)
      block.qs[j] = static_cast<std::uint8_t>(codes[j] | codes[j + kHalf] << 4);
    std::memcpy(blocks, &block, sizeof block);
    blocks += sizeof block;
  }
}

}  // namespace ridgeline
