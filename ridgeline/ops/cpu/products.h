#pragma once

#include <algorithm>

#include "ridgeline/ops/cpu/cpu_backend.h"

// What the matrix products have in common (linear.cpp, experts.cpp).

namespace ridgeline {

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Rows packed for one activation format: tiles of kMaxTileRows rows, the last shorter.
struct CpuBackend::Tiles {
  const std::byte* data = nullptr;
  std::size_t tile_bytes = 0;
  std::int64_t rows = 0;

  const std::byte* tile(std::int64_t i) const {
    return data + static_cast<std::size_t>(i) * tile_bytes;
  }
  int tile_rows(std::int64_t i) const {
    return static_cast<int>(std::min<std::int64_t>(kMaxTileRows, rows - i * kMaxTileRows));
  }
  /// Those from the first-th on, which hold `count` rows.
  Tiles from(std::int64_t first, std::int64_t count) const {
    return {tile(first), tile_bytes, count};
  }
};

struct CpuBackend::WorkItem {
  std::int64_t panel_begin, panel_end;
  std::int64_t row_begin, row_end;  ///< row_begin is a multiple of kMaxTileRows
};

/// How one product is cut: panels per block, and the number of blocks each way.
struct ProductCut {
  std::int64_t block_panels = 1;
  std::int64_t panel_blocks = 0;
  std::int64_t row_blocks = 0;
  std::int64_t items() const { return panel_blocks * row_blocks; }

  static ProductCut of(const CpuWeight& weight, std::int64_t rows, std::int64_t max_columns,
                       std::int64_t panel_width);
};

}  // namespace ridgeline
