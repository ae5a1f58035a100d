#include "ridgeline/quant/grid_storage.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ridgeline/quant/half.h"
#include "ridgeline/quant/iq4_xs.h"
#include "ridgeline/quant/q2_k.h"
#include "ridgeline/quant/q3_k.h"
#include "ridgeline/quant/q4_0.h"
#include "ridgeline/quant/q4_1.h"
#include "ridgeline/quant/q4_k.h"
#include "ridgeline/quant/q5_0.h"
#include "ridgeline/quant/q5_1.h"
#include "ridgeline/quant/q5_k.h"
#include "ridgeline/quant/q6_k.h"
#include "ridgeline/quant/q8_0.h"
#include "ridgeline/quant/two_bits.h"

namespace ridgeline::grid_storage {
namespace {

constexpr int kSubBlocksMax = BlockGrid::kSubBlocksMax;

/// Finite numbers as they are, limited to what F16 has; 0 for anything else.
float within_f16(float v) {
  if (std::isnan(v)) return 0.0f;
  return std::clamp(v, -65504.0f, 65504.0f);
}
float as_f16(float v) { return f16_to_f32(f32_to_f16(within_f16(v))); }

/// The F16 number d, and integers low .. high, of least Σ (values - d · steps)², by trials
/// of where the greatest value comes out and a refit of each.
float to_steps(const float* values, int n, int low, int high, int* steps) {
  float greatest = 0.0f;
  for (int i = 0; i < n; ++i) greatest = std::max(greatest, std::fabs(within_f16(values[i])));
  std::fill_n(steps, n, 0);
  float best = 0.0f;
  double least = HUGE_VAL;
  const auto attempt = [&](float wanted) {
    const float d = as_f16(wanted);
    if (d == 0.0f) return 0.0;
    double error = 0, vk = 0, kk = 0;
    int trial[kSubBlocksMax];
    for (int i = 0; i < n; ++i) {
      const float v = within_f16(values[i]);
      const float level = std::clamp(v / d, static_cast<float>(low), static_cast<float>(high));
      trial[i] = static_cast<int>(std::lrint(level));
      const double off = v - static_cast<double>(d) * trial[i];
      error += off * off;
      vk += static_cast<double>(v) * trial[i];
      kk += static_cast<double>(trial[i]) * trial[i];
    }
    if (error < least) {
      least = error;
      best = d;
      std::copy_n(trial, n, steps);
    }
    return kk > 0 ? vk / kk : 0.0;
  };
  constexpr int kTrials = 32;
  for (int t = 0; t < kTrials; ++t) {
    const float top = static_cast<float>(std::max(high, -low)) *
                      (1.03f - 0.28f * static_cast<float>(t) / kTrials);
    for (const float sign : {1.0f, -1.0f}) {
      if (low == 0 && sign < 0) continue;
      attempt(static_cast<float>(attempt(sign * greatest / top)));
    }
  }
  return best;
}

void take_scales(const GridChoice& choice, int n, int zero, BlockGrid& grid) {
  grid = {};
  grid.d = f32_to_f16(choice.d);
  for (int s = 0; s < n; ++s) {
    grid.scale[s] = choice.d * static_cast<float>(choice.scale[s]);
    grid.sub_scale[s] = static_cast<std::uint8_t>(choice.scale[s] + zero);
  }
}

void take_scales_and_mins(const GridChoice& choice, int n, BlockGrid& grid) {
  take_scales(choice, n, 0, grid);
  grid.dmin = f32_to_f16(choice.dmin);
  for (int s = 0; s < n; ++s) {
    grid.offset[s] = -(choice.dmin * static_cast<float>(choice.min[s]));
    grid.sub_min[s] = static_cast<std::uint8_t>(choice.min[s]);
  }
}

GridChoice choice_of(const float* scale, int n, int low, int high) {
  GridChoice choice;
  choice.d = to_steps(scale, n, low, high, choice.scale);
  return choice;
}

GridChoice choice_of(const float* scale, const float* offset, int n, int top) {
  GridChoice choice = choice_of(scale, n, 0, top);
  float min[kSubBlocksMax];
  for (int s = 0; s < n; ++s) min[s] = std::max(0.0f, -offset[s]);
  choice.dmin = to_steps(min, n, 0, top, choice.min);
  return choice;
}

template <class Block>
void put(const Block& from, std::byte* block) {
  std::memcpy(block, &from, sizeof from);
}

/// Elements j and j + 16 share a byte.
void pack_nibbles(const std::uint8_t* levels, std::uint8_t (&qs)[16]) {
  for (int j = 0; j < 16; ++j)
    qs[j] = static_cast<std::uint8_t>((levels[j] & 15) | (levels[j + 16] & 15) << 4);
}
void pack_fifth_bits(const std::uint8_t* levels, std::uint8_t (&qh)[4]) {
  std::uint32_t bits = 0;
  for (int j = 0; j < 32; ++j) bits |= static_cast<std::uint32_t>(levels[j] >> 4) << j;
  std::memcpy(qh, &bits, sizeof bits);
}

k_affine::Encoded encoded(const BlockGrid& grid, const std::uint8_t* levels) {
  k_affine::Encoded out;
  out.d = grid.d;
  out.dmin = grid.dmin;
  k_affine::Scales scales;
  std::copy_n(grid.sub_scale, k_affine::kSubBlocks, scales.scale);
  std::copy_n(grid.sub_min, k_affine::kSubBlocks, scales.min);
  k_affine::pack_scales(scales, out.scales);
  std::memcpy(out.levels, levels, sizeof out.levels);
  return out;
}

}  // namespace

void take_single(const GridChoice& choice, BlockGrid& grid) {
  grid = {};
  grid.scale[0] = choice.d;
  grid.offset[0] = -choice.dmin;
  grid.d = f32_to_f16(choice.d);
  grid.dmin = f32_to_f16(-choice.dmin);
}
void store_symmetric(const float* scale, const float*, BlockGrid& grid) {
  GridChoice choice;
  choice.d = as_f16(scale[0]);
  take_single(choice, grid);
}
void store_affine(const float* scale, const float* offset, BlockGrid& grid) {
  GridChoice choice;
  choice.d = as_f16(scale[0]);
  choice.dmin = -as_f16(offset[0]);
  take_single(choice, grid);
}

void take_q3_k(const GridChoice& choice, BlockGrid& grid) { take_scales(choice, 16, 32, grid); }
void take_iq4_xs(const GridChoice& choice, BlockGrid& grid) { take_scales(choice, 8, 32, grid); }
void take_q6_k(const GridChoice& choice, BlockGrid& grid) { take_scales(choice, 16, 0, grid); }
void take_k_affine(const GridChoice& choice, BlockGrid& grid) {
  take_scales_and_mins(choice, 8, grid);
}
void take_q2_k(const GridChoice& choice, BlockGrid& grid) {
  take_scales_and_mins(choice, 16, grid);
}

void store_q3_k(const float* scale, const float*, BlockGrid& grid) {
  take_q3_k(choice_of(scale, 16, -32, 31), grid);
}
void store_iq4_xs(const float* scale, const float*, BlockGrid& grid) {
  take_iq4_xs(choice_of(scale, 8, -32, 31), grid);
}
void store_q6_k(const float* scale, const float*, BlockGrid& grid) {
  take_q6_k(choice_of(scale, 16, -128, 127), grid);
}
void store_k_affine(const float* scale, const float* offset, BlockGrid& grid) {
  take_k_affine(choice_of(scale, offset, 8, 63), grid);
}
void store_q2_k(const float* scale, const float* offset, BlockGrid& grid) {
  take_q2_k(choice_of(scale, offset, 16, 15), grid);
}

void pack_q4_0(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block) {
  BlockQ4_0 to{.d = grid.d, .qs = {}};
  pack_nibbles(levels, to.qs);
  put(to, block);
}
void pack_iq4_nl(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block) {
  pack_q4_0(grid, levels, block);  // the same layout
}
void pack_q4_1(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block) {
  BlockQ4_1 to{.d = grid.d, .m = grid.dmin, .qs = {}};
  pack_nibbles(levels, to.qs);
  put(to, block);
}
void pack_q5_0(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block) {
  BlockQ5_0 to{.d = grid.d, .qh = {}, .qs = {}};
  pack_fifth_bits(levels, to.qh);
  pack_nibbles(levels, to.qs);
  put(to, block);
}
void pack_q5_1(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block) {
  BlockQ5_1 to{.d = grid.d, .m = grid.dmin, .qh = {}, .qs = {}};
  pack_fifth_bits(levels, to.qh);
  pack_nibbles(levels, to.qs);
  put(to, block);
}
void pack_q8_0(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block) {
  BlockQ8_0 to{.d = grid.d, .qs = {}};
  for (int j = 0; j < BlockQ8_0::kElements; ++j)
    to.qs[j] = static_cast<std::int8_t>(levels[j] - 127);
  put(to, block);
}

void pack_q2_k(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block) {
  BlockQ2_K to{.scales = {}, .qs = {}, .d = grid.d, .dmin = grid.dmin};
  for (int s = 0; s < BlockQ2_K::kSubBlocks; ++s)
    to.scales[s] = static_cast<std::uint8_t>(grid.sub_scale[s] | grid.sub_min[s] << 4);
  two_bits::pack(levels, to.qs);
  put(to, block);
}
void pack_q3_k(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block) {
  UnpackedQ3_K from;
  for (int s = 0; s < BlockQ3_K::kSubBlocks; ++s)
    from.scales[s] = static_cast<std::int8_t>(grid.sub_scale[s] - 32);
  std::memcpy(from.levels, levels, sizeof from.levels);
  put(ridgeline::pack_q3_k(from, grid.d), block);
}
void pack_q4_k(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block) {
  put(ridgeline::pack_q4_k(encoded(grid, levels)), block);
}
void pack_q5_k(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block) {
  put(ridgeline::pack_q5_k(encoded(grid, levels)), block);
}
void pack_q6_k(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block) {
  BlockQ6_K to{};
  to.d = grid.d;
  std::memcpy(to.scales, grid.sub_scale, sizeof to.scales);
  pack_q6_k_levels(levels, to);
  put(to, block);
}
void pack_iq4_xs(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block) {
  UnpackedIQ4_XS from;
  for (int s = 0; s < BlockIQ4_XS::kSubBlocks; ++s)
    from.scales[s] = static_cast<std::int8_t>(grid.sub_scale[s] - 32);
  std::memcpy(from.codes, levels, sizeof from.codes);
  put(ridgeline::pack_iq4_xs(from, grid.d), block);
}

}  // namespace ridgeline::grid_storage
