#include "ridgeline/quant/random_blocks.h"

#include <array>
#include <cmath>
#include <cstring>
#include <random>

#include "ridgeline/base/check.h"
#include "ridgeline/quant/block_format.h"
#include "ridgeline/quant/half.h"

namespace ridgeline {

void random_blocks(DType dtype, std::uint32_t seed, float size, std::int64_t n, std::byte* blocks) {
  constexpr int kElements = 256;
  // All of these begin with the F16 factor of the block.
  RIDGELINE_CHECK(!can_encode(dtype) && info(dtype).block_elements == kElements);
  const auto set_factor = [&](float d) {
    const std::uint16_t half = f32_to_f16(d);
    std::memcpy(blocks, &half, sizeof half);
  };
  std::mt19937 random(seed);
  std::array<float, kElements> values;
  for (std::int64_t i = 0; i < n; i += kElements) {
    for (int b = 0; b < info(dtype).block_bytes; ++b) blocks[b] = static_cast<std::byte>(random());
    set_factor(1.0f);
    decode(dtype, blocks, kElements, values.data());
    float squares = 0.0f;
    for (const float v : values) squares += v * v;
    set_factor(size / std::sqrt(squares / kElements));
    blocks += info(dtype).block_bytes;
  }
}

}  // namespace ridgeline
