#include "ridgeline/quant/random_blocks.h"

#include <array>
#include <cmath>
#include <cstring>
#include <random>

#include "ridgeline/base/check.h"
#include "ridgeline/quant/block_format.h"
#include "ridgeline/quant/half.h"

namespace ridgeline {
namespace {

constexpr int kElementsMax = 256;

}  // namespace

void random_blocks(DType dtype, std::uint32_t seed, float size, std::int64_t n, std::byte* blocks) {
  const int elements = info(dtype).block_elements;
  RIDGELINE_CHECK(!can_encode(dtype) && elements <= kElementsMax);
  // All of these begin with the F16 factor of the block; INT4's zero follows.
  const bool has_zero = !is_gguf_type(dtype);
  const auto set_factor = [&](float d) {
    const std::uint16_t half = f32_to_f16(d);
    std::memcpy(blocks, &half, sizeof half);
  };
  std::mt19937 random(seed);
  std::array<float, kElementsMax> values;
  for (std::int64_t i = 0; i < n; i += elements) {
    for (int b = 0; b < info(dtype).block_bytes; ++b) blocks[b] = static_cast<std::byte>(random());
    if (has_zero) blocks[2] &= std::byte{15};
    set_factor(1.0f);
    decode(dtype, blocks, elements, values.data());
    float squares = 0.0f;
    for (int e = 0; e < elements; ++e) squares += values[e] * values[e];
    set_factor(size / std::sqrt(squares / static_cast<float>(elements)));
    blocks += info(dtype).block_bytes;
  }
}

}  // namespace ridgeline
