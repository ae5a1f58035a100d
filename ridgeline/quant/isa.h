#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "ridgeline/quant/sub_block_fits.h"

namespace ridgeline {

struct GridSearches;

/// The conversions of rows (quant/block_format.h) that are worth wide registers.
struct RowCoders {
  using Encode = void (*)(const float* in, std::int64_t n, std::byte* blocks);
  void (*decode_f16)(const std::byte* in, std::int64_t n, float* out);
  Encode q4_0, q4_1, q5_0, q5_1, q8_0;
  SubBlockFits fits;
};

/// What is compiled once for each instruction set (quant/<isa>/), with the same bits on all.
struct QuantIsa {
  std::string_view name;
  const RowCoders* rows;
  const GridSearches* searches;
};

/// Those that this CPU runs, the fastest first.
const std::vector<QuantIsa>& quant_isas();

/// The first one's.
const RowCoders& row_coders();

namespace generic {
extern const RowCoders kRowCoders;
extern const GridSearches kGridSearches;
}  // namespace generic
namespace avx2 {
extern const RowCoders kRowCoders;
extern const GridSearches kGridSearches;
}  // namespace avx2
namespace avx512 {
extern const RowCoders kRowCoders;
extern const GridSearches kGridSearches;
}  // namespace avx512

}  // namespace ridgeline
