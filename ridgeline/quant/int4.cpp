#include "ridgeline/quant/int4.h"

#include <cstring>

#include "ridgeline/quant/half.h"

namespace ridgeline {

// q - zero has at most 8 significant bits and d has 11, so the product is exact.
template <int kGroup>
void decode_int4(const std::byte* blocks, std::int64_t n, float* out) {
  constexpr int kRun = 32, kHalf = kRun / 2;
  for (std::int64_t i = 0; i < n; i += kGroup) {
    BlockInt4<kGroup> block;
    std::memcpy(&block, blocks, sizeof block);
    blocks += sizeof block;
    std::uint16_t bits;
    std::memcpy(&bits, block.d, sizeof bits);
    const float d = f16_to_f32(bits);
    const auto value = [&](int q) { return static_cast<float>(q - block.zero) * d; };
    for (int run = 0; run < kGroup; run += kRun) {
      const std::uint8_t* qs = block.qs + run / 2;
      float* y = out + i + run;
      for (int j = 0; j < kHalf; ++j) y[j] = value(qs[j] & 15);
      for (int j = 0; j < kHalf; ++j) y[j + kHalf] = value(qs[j] >> 4);
    }
  }
}

template void decode_int4<32>(const std::byte* blocks, std::int64_t n, float* out);
template void decode_int4<64>(const std::byte* blocks, std::int64_t n, float* out);
template void decode_int4<128>(const std::byte* blocks, std::int64_t n, float* out);

}  // namespace ridgeline
