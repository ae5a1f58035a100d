#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/ops/backend.h"
#include "ridgeline/tensor/buffer.h"

namespace ridgeline::ptq {

/// Σ x xᵀ over the rows of calibration that reached a matrix: the Hessian of its squared output
/// error, |Wx - Ŵx|², up to a factor of 2 (Frantar et al. 2022, section 3.1). F32, symmetric.
class Hessian {
 public:
  /// Error: not enough memory for cols² floats.
  static Result<Hessian> make(std::int64_t cols);

  std::int64_t cols() const { return cols_; }
  std::int64_t rows() const { return rows_; }  ///< that were added
  float* data() { return reinterpret_cast<float*>(storage_.data()); }
  const float* data() const { return reinterpret_cast<const float*>(storage_.data()); }
  /// Counts rows that LinearAlgebra::add_outer_products() added.
  void added(std::int64_t rows) { rows_ += rows; }

 private:
  std::int64_t cols_ = 0, rows_ = 0;
  Buffer storage_;
};

/// Dense F32 algebra at the speed of the matrix kernels, on all threads of a backend of its own.
class LinearAlgebra {
 public:
  static Result<std::unique_ptr<LinearAlgebra>> create(int threads, bool pin);
  virtual ~LinearAlgebra() = default;
  virtual ThreadPool& threads() = 0;

  /// h += xᵀ x of x [rows][h.cols()]; both triangles are right after finish().
  virtual Status add_outer_products(Matrix x, Hessian& h) = 0;
  /// Copies the triangle that was computed to the other.
  virtual void finish(Hessian& h) = 0;
  /// a [n][n], row-major, symmetric positive definite = L Lᵀ; L replaces the lower triangle, the
  /// upper one is left undefined. False, with a undefined, if a pivot is not positive.
  virtual bool cholesky(float* a, std::int64_t n) = 0;
};

}  // namespace ridgeline::ptq
