#include <algorithm>

#include "ridgeline/tools/ptq/gptq_tile.h"

// Compiled for several instruction sets, of which the first that the CPU has is called. None of
// them fuses a product with a sum, so all give the same bits.
#if defined(__x86_64__) && defined(__gnu_linux__)
#define RIDGELINE_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define RIDGELINE_CLONES
#endif

namespace ridgeline::ptq {

RIDGELINE_CLONES
void accumulate(const Lanes* values, const float* column, std::int64_t begin, std::int64_t end,
                Lanes& sum) {
  // Four sums, since each addition waits for the one before.
  constexpr int kSums = 4;
  float sums[kSums][kTileRows] = {};
  std::int64_t i = begin;
  for (; i + kSums <= end; i += kSums)
    for (int s = 0; s < kSums; ++s)
      for (int lane = 0; lane < kTileRows; ++lane)
        sums[s][lane] += values[i + s][lane] * column[i + s];
  for (; i < end; ++i)
    for (int lane = 0; lane < kTileRows; ++lane) sums[0][lane] += values[i][lane] * column[i];
  for (int lane = 0; lane < kTileRows; ++lane)
    sum[lane] += (sums[0][lane] + sums[1][lane]) + (sums[2][lane] + sums[3][lane]);
}

RIDGELINE_CLONES
void spread(const Lanes& value, const float* row, std::int64_t begin, std::int64_t end,
            Lanes* sums) {
  for (std::int64_t i = begin; i < end; ++i)
    for (int lane = 0; lane < kTileRows; ++lane) sums[i][lane] += value[lane] * row[i];
}

}  // namespace ridgeline::ptq
