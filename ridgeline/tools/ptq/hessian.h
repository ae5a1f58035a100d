#pragma once

#include <cstdint>
#include <memory>

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

/// A matrix that products share, in the layout of the matrix kernels. Its memory is kept for
/// the next one that is packed into it.
class PackedMatrix {
 public:
  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }
  std::size_t bytes() const { return storage_.size(); }

 private:
  friend class LinearAlgebra;
  std::int64_t rows_ = 0, cols_ = 0;
  Buffer storage_;  ///< stretches of kInputsMax columns, one after the other
};

/// Dense F32 algebra at the speed of the matrix kernels, on all threads of a backend of its
/// own. Results do not depend on the number of threads.
class LinearAlgebra {
 public:
  static Result<std::unique_ptr<LinearAlgebra>> create(int threads, bool pin);

  ThreadPool& threads() { return backend_->host_threads(); }

  /// Packs m, whose memory is only read. Error: no memory.
  Status pack(Matrix m, PackedMatrix& packed);
  /// out += factor x mᵀ with the first out.cols rows of m: all of them, or a multiple of
  /// kRowGroup.
  void add_product(Matrix x, const PackedMatrix& m, float factor, Matrix out);
  static constexpr std::int64_t kRowGroup = 128;

  /// [x.cols][x.rows] at `out`
  void transpose(Matrix x, float* out);

  /// h += xᵀ x of x [rows][h.cols()], of which some hundred rows at once are best; both triangles
  /// are right after finish(). Error: no memory.
  Status add_outer_products(Matrix x, Hessian& h);
  /// c += rᵀ x of r [rows][c.rows] and x [rows][c.cols]. Error: no memory.
  Status add_cross_products(Matrix r, Matrix x, Matrix c);
  /// Copies the triangle that was computed to the other.
  void finish(Hessian& h);

  /// a [n][n], row-major, symmetric positive definite = L Lᵀ; L replaces the lower triangle and
  /// the diagonal, the upper triangle stays. False if a pivot is not positive or not a number.
  /// Error: no memory.
  Result<bool> cholesky(float* a, std::int64_t n);
  /// b = b (L Lᵀ)⁻¹ of b [rows][n] and what cholesky() left. Error: no memory.
  Status solve(const float* l, std::int64_t n, Matrix b);

 private:
  explicit LinearAlgebra(std::unique_ptr<Backend> backend) : backend_(std::move(backend)) {}
  Result<std::size_t> packed_bytes(std::int64_t rows, std::int64_t cols) const;

  std::unique_ptr<Backend> backend_;
  /// x transposed, in `storage`.
  Result<Matrix> transposed(Matrix x, Buffer& storage);

  Buffer transposed_;          ///< of a chunk of rows
  Buffer transposed_outputs_;  ///< the same of add_cross_products()' r
  PackedMatrix packed_chunk_;  ///< the same, or a panel of cholesky()
};

}  // namespace ridgeline::ptq
