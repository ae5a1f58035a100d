#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ridgeline/tensor/dtype.h"

namespace ridgeline {

/// A named tensor somewhere else (a mapped file). The shape is outermost first,
/// so a weight matrix is [rows = outputs][cols = inputs] and rows lie one after
/// the other; blocks of a quantized type run along the last dimension.
struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  const std::byte* data = nullptr;
  std::size_t bytes = 0;

  std::int64_t cols() const { return shape.empty() ? 1 : shape.back(); }
  std::int64_t elements() const {
    std::int64_t n = 1;
    for (auto d : shape) n *= d;
    return n;
  }
  std::int64_t rows() const { return cols() == 0 ? 0 : elements() / cols(); }
};

}  // namespace ridgeline
