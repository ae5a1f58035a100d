#include "ridgeline/quant/block_grid.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "ridgeline/base/check.h"
#include "ridgeline/quant/grid_search.h"
#include "ridgeline/quant/grid_storage.h"
#include "ridgeline/quant/iq4_codebook.h"
#include "ridgeline/quant/isa.h"

namespace ridgeline {
namespace {

/// Below this all scales of all formats are zero in F16, whose least number is 2^-24.
constexpr float kNothing = 0x1p-32f;

float finite_or_zero(float v) { return std::isfinite(v) ? v : 0.0f; }

/// Brings weights to 0 .. 1. What has no weight gets a little, so that its level is
/// determined where nothing else speaks for another.
void normalize_weights(int n, float* weight) {
  constexpr float kFloor = 1e-7f;
  float greatest = 0.0f;
  for (int i = 0; i < n; ++i) {
    weight[i] = std::max(0.0f, finite_or_zero(weight[i]));
    greatest = std::max(greatest, weight[i]);
  }
  const bool usable = greatest >= 1e-30f;
  const float inverse = usable ? 1.0f / greatest : 0.0f;
  for (int i = 0; i < n; ++i) weight[i] = usable ? weight[i] * inverse + kFloor : 1.0f;
}

/// False where the block is as good as zero.
bool prepare(int n, const float* x, const float* importance, GridProblem& problem) {
  float greatest = 0.0f;
  for (int i = 0; i < n; ++i) greatest = std::max(greatest, std::fabs(finite_or_zero(x[i])));
  if (!(greatest >= kNothing)) return false;
  problem.unit = std::ldexp(1.0f, std::min(std::ilogb(greatest), 120));
  for (int i = 0; i < n; ++i) problem.x[i] = finite_or_zero(x[i]) / problem.unit;
  if (importance != nullptr)
    std::copy_n(importance, n, problem.weight);
  else
    std::fill_n(problem.weight, n, 1.0f);
  normalize_weights(n, problem.weight);
  return true;
}

template <int kLow, int kCount>
constexpr auto kEven = [] {
  std::array<std::int8_t, kCount> steps{};
  for (int i = 0; i < kCount; ++i)
    steps[static_cast<std::size_t>(i)] = static_cast<std::int8_t>(kLow + i);
  return steps;
}();

/// A format and what its fit() needs beside it.
struct Entry {
  GridFormat format;
  GridSearch GridSearches::*search;
  void (*take)(const GridChoice& choice, BlockGrid& grid);
};

namespace storage = grid_storage;
template <int kIndex>
void fit(const float* x, const float* importance, BlockGrid& grid);

// The columns: type, elements of block and sub-block, levels, offset, steps, whether these are
// even, fit, store, pack; then search, take.
constexpr std::array kEntries{
    Entry{{DType::kQ4_0, 32, 32, 16, false, kEven<-8, 16>.data(), true, fit<0>,
           storage::store_symmetric, storage::pack_q4_0},
          &GridSearches::q4_0,
          storage::take_single},
    Entry{{DType::kQ4_1, 32, 32, 16, true, kEven<0, 16>.data(), true, fit<1>, storage::store_affine,
           storage::pack_q4_1},
          &GridSearches::q4_1,
          storage::take_single},
    Entry{{DType::kQ5_0, 32, 32, 32, false, kEven<-16, 32>.data(), true, fit<2>,
           storage::store_symmetric, storage::pack_q5_0},
          &GridSearches::q5_0,
          storage::take_single},
    Entry{{DType::kQ5_1, 32, 32, 32, true, kEven<0, 32>.data(), true, fit<3>, storage::store_affine,
           storage::pack_q5_1},
          &GridSearches::q5_1,
          storage::take_single},
    Entry{{DType::kQ8_0, 32, 32, 255, false, kEven<-127, 255>.data(), true, fit<4>,
           storage::store_symmetric, storage::pack_q8_0},
          &GridSearches::q8_0,
          storage::take_single},
    Entry{{DType::kIQ4_NL, 32, 32, 16, false, iq4::kValues, false, fit<5>, storage::store_symmetric,
           storage::pack_iq4_nl},
          &GridSearches::iq4_nl,
          storage::take_single},
    Entry{{DType::kQ2_K, 256, 16, 4, true, kEven<0, 4>.data(), true, fit<6>, storage::store_q2_k,
           storage::pack_q2_k},
          &GridSearches::q2_k,
          storage::take_q2_k},
    Entry{{DType::kQ3_K, 256, 16, 8, false, kEven<-4, 8>.data(), true, fit<7>, storage::store_q3_k,
           storage::pack_q3_k},
          &GridSearches::q3_k,
          storage::take_q3_k},
    Entry{{DType::kQ4_K, 256, 32, 16, true, kEven<0, 16>.data(), true, fit<8>,
           storage::store_k_affine, storage::pack_q4_k},
          &GridSearches::q4_k,
          storage::take_k_affine},
    Entry{{DType::kQ5_K, 256, 32, 32, true, kEven<0, 32>.data(), true, fit<9>,
           storage::store_k_affine, storage::pack_q5_k},
          &GridSearches::q5_k,
          storage::take_k_affine},
    Entry{{DType::kQ6_K, 256, 16, 64, false, kEven<-32, 64>.data(), true, fit<10>,
           storage::store_q6_k, storage::pack_q6_k},
          &GridSearches::q6_k,
          storage::take_q6_k},
    Entry{{DType::kIQ4_XS, 256, 32, 16, false, iq4::kValues, false, fit<11>, storage::store_iq4_xs,
           storage::pack_iq4_xs},
          &GridSearches::iq4_xs,
          storage::take_iq4_xs},
};

void fit_with(const GridSearches& searches, const Entry& entry, const float* x,
              const float* importance, BlockGrid& grid) {
  GridProblem problem;
  GridChoice choice;
  if (prepare(entry.format.block_elements, x, importance, problem))
    (searches.*entry.search)(problem, choice);
  entry.take(choice, grid);
}

template <int kIndex>
void fit(const float* x, const float* importance, BlockGrid& grid) {
  static const GridSearches& searches = *quant_isas().front().searches;
  fit_with(searches, kEntries[kIndex], x, importance, grid);
}

const Entry* find_entry(DType dtype) {
  for (const Entry& entry : kEntries)
    if (entry.format.dtype == dtype) return &entry;
  return nullptr;
}

}  // namespace

const GridFormat* grid_format(DType dtype) {
  const Entry* entry = find_entry(dtype);
  return entry == nullptr ? nullptr : &entry->format;
}

void fit_grid(const GridSearches& searches, DType dtype, const float* x, const float* importance,
              BlockGrid& grid) {
  const Entry* entry = find_entry(dtype);
  RIDGELINE_CHECK(entry != nullptr);
  fit_with(searches, *entry, x, importance, grid);
}

int GridFormat::nearest(const BlockGrid& grid, int sub, float x) const {
  const float scale = grid.scale[sub];
  const float steps_away = scale == 0.0f ? 0.0f : (x - grid.offset[sub]) / scale;
  const auto first = static_cast<float>(steps[0]), last = static_cast<float>(steps[levels - 1]);
  const float v = steps_away >= first ? std::min(steps_away, last) : first;  // NaN: the first
  int level = 0;
  if (is_even) {
    const float up = v - first + 0.5f;
    level = static_cast<int>(up);
  } else {
    for (int l = 0; l + 1 < levels; ++l)
      level += 2.0f * v >= static_cast<float>(steps[l] + steps[l + 1]);
  }
  // Near the middle of two levels the division's rounding may have chosen the wrong one.
  const float error = x - value(grid, sub, level);
  const int other = level + ((error > 0.0f) == (scale > 0.0f) ? 1 : -1);
  if (other < 0 || other >= levels) return level;
  return std::fabs(x - value(grid, sub, other)) < std::fabs(error) ? other : level;
}

void encode_weighted(DType dtype, const float* x, const float* importance, std::int64_t n,
                     std::byte* blocks) {
  const GridFormat* format = grid_format(dtype);
  RIDGELINE_CHECK(format != nullptr && n % format->block_elements == 0);
  std::uint8_t levels[GridProblem::kElementsMax];
  for (std::int64_t at = 0; at < n; at += format->block_elements) {
    BlockGrid grid;
    format->fit(x + at, importance == nullptr ? nullptr : importance + at, grid);
    for (int i = 0; i < format->block_elements; ++i)
      levels[i] =
          static_cast<std::uint8_t>(format->nearest(grid, i / format->sub_elements, x[at + i]));
    format->pack(grid, levels, blocks);
    blocks += info(dtype).block_bytes;
  }
}

}  // namespace ridgeline
