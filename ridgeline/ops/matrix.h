#pragma once

#include <cstdint>

namespace ridgeline {

/// Rows of floats in a backend's memory, `stride` floats apart. Only the backend
/// reads or writes through `data`.
struct Matrix {
  float* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;

  /// The first `n` rows.
  Matrix first_rows(std::int64_t n) const { return {data, n, cols, stride}; }
  /// Rows [begin, begin + n).
  Matrix slice_rows(std::int64_t begin, std::int64_t n) const {
    return {data + begin * stride, n, cols, stride};
  }
  /// Columns [begin, begin + n).
  Matrix slice_cols(std::int64_t begin, std::int64_t n) const {
    return {data + begin, rows, n, stride};
  }
  /// Each head's columns from `begin` on, for operations that go through heads.
  Matrix within_heads(std::int64_t begin) const { return {data + begin, rows, cols, stride}; }
  /// Each row of `heads` heads seen as `heads` rows; needs stride == cols.
  Matrix split_heads(std::int64_t heads) const {
    return {data, rows * heads, cols / heads, cols / heads};
  }
};

}  // namespace ridgeline
