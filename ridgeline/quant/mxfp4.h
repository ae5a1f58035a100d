#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace ridgeline {

/// 32 elements in 17 bytes, 4.25 bits each, of the OCP Microscaling formats (MX v1.0,
/// section 5): x[i] = 2^(e - 127) · q[i], q one of ±{0, 0.5, 1, 1.5, 2, 3, 4, 6} with the
/// sign in its top bit (FP4 E2M1). The codes lie as the levels of Q4_0.
///
///   byte  0    1                                           17
///         ┌────┬───────────┬───────────┬─────┬────────────┐
///         │ e  │ q16 │ q0  │ q17 │ q1  │ ... │ q31 │ q15  │   high nibble drawn left
///         └────┴───────────┴───────────┴─────┴────────────┘
struct BlockMXFP4 {
  static constexpr int kElements = 32;
  /// Twice the value of each code: integers.
  static constexpr std::int8_t kDoubled[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                               0, -1, -2, -3, -4, -6, -8, -12};
  std::uint8_t e;
  std::uint8_t qs[kElements / 2];

  /// 2^(e - 128), the factor of doubled values; subnormal for e < 2.
  static float half_scale(std::uint8_t e) {
    return std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1u) << 23);
  }
};
static_assert(sizeof(BlockMXFP4) == 17);

void decode_mxfp4(const std::byte* blocks, std::int64_t n, float* out);
void encode_mxfp4(const float* in, std::int64_t n, std::byte* blocks);

}  // namespace ridgeline
