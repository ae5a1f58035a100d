#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ridgeline/tensor/dtype.h"

namespace ridgeline {

/// Element i of a matrix's rows belongs to input (*order)[i]; null: to input i. GPTQ with
/// act-order gathers the columns that share a scale so. Equal orders are one object.
using InputOrder = std::shared_ptr<const std::vector<std::int32_t>>;

/// A named tensor somewhere else (a mapped file). The shape is outermost first,
/// so a weight matrix is [rows = outputs][cols = inputs] and rows lie one after
/// the other; blocks of a quantized type run along the last dimension.
struct TensorView {
  /// Writes rows [first, first + count) in the form of `dtype` to `out`; from any thread.
  using Convert = std::function<void(std::int64_t first, std::int64_t count, std::byte* out)>;

  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  const std::byte* data = nullptr;  ///< the rows; with `convert`, what it makes them of
  std::size_t bytes = 0;            ///< at `data`
  /// Set where a file holds the tensor in another type, order or layout.
  Convert convert = nullptr;
  /// Any row is made of all of `data`, not of a part of it that grows with the row's number.
  bool is_spread = false;
  InputOrder input_order = nullptr;

  std::int64_t cols() const { return shape.empty() ? 1 : shape.back(); }
  std::int64_t elements() const {
    std::int64_t n = 1;
    for (auto d : shape) n *= d;
    return n;
  }
  std::int64_t rows() const { return cols() == 0 ? 0 : elements() / cols(); }

  /// Rows [first, first + count) in the form of `dtype`: where they lie, or converted into
  /// `scratch`, which must outlive the use.
  std::span<const std::byte> read_rows(std::int64_t first, std::int64_t count,
                                       std::vector<std::byte>& scratch) const;
};

}  // namespace ridgeline
