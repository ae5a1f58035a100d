#include <algorithm>
#include <vector>

#include "ridgeline/base/check.h"
#include "ridgeline/tools/ptq/hessian.h"

namespace ridgeline::ptq {
namespace {

/// Of a product at once: the backend's workspace holds as many packed activations.
constexpr std::int64_t kRowsMax = 512;
constexpr std::int64_t kInputsMax = 2048;
/// Rows of calibration whose products are added up before they go to the Hessian: a float that
/// is read and written costs as much as about 100 multiply-adds.
constexpr std::int64_t kChunkRows = 1024;
/// Blocks of a Hessian of which the lower ones are computed: the less is in vain, but the
/// activations of each are packed for every product.
constexpr std::int64_t kBlockRows = 512;
/// A square of floats that two L1 caches' worth of strided lines hold.
constexpr std::int64_t kTransposeTile = 32;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

Result<std::unique_ptr<LinearAlgebra>> LinearAlgebra::create(int threads, bool pin) {
  BackendOptions options;
  options.threads = threads;
  options.activations = ActivationPrecision::kExact;
  options.pin = pin;
  RIDGELINE_TRY(auto backend, create_backend(options));
  std::unique_ptr<LinearAlgebra> algebra(new LinearAlgebra(std::move(backend)));

  // The backend reserves workspace for the types of the weights that it has adopted.
  const float zero = 0;
  PackedMatrix none;
  RIDGELINE_TRY_STATUS(algebra->pack(Matrix{const_cast<float*>(&zero), 1, 1, 1}, none));
  RIDGELINE_TRY(const std::size_t bytes, algebra->packed_bytes(1, 1));
  RIDGELINE_TRY_STATUS(
      algebra->backend_->adopt_weight(DType::kF32, 1, 1, {{none.storage_.data(), bytes}, nullptr}));
  Backend::Limits limits;
  limits.max_rows = kRowsMax;
  limits.max_cols = kInputsMax;
  // There is no attention, but a backend has heads.
  limits.max_positions = limits.query_heads = limits.kv_heads = 1;
  limits.head_dim = 32;
  RIDGELINE_TRY_STATUS(algebra->backend_->reserve(limits));
  return algebra;
}

Result<std::size_t> LinearAlgebra::packed_bytes(std::int64_t rows, std::int64_t cols) const {
  return backend_->packed_bytes(DType::kF32, rows, cols);
}

Status LinearAlgebra::pack(Matrix m, PackedMatrix& packed) {
  packed.rows_ = m.rows;
  packed.cols_ = m.cols;
  const std::int64_t stretches = ceil_div(m.cols, kInputsMax);
  RIDGELINE_TRY(const std::size_t stretch_bytes,
                packed_bytes(m.rows, std::min(m.cols, kInputsMax)));
  const std::size_t bytes = static_cast<std::size_t>(stretches) * stretch_bytes;
  if (packed.storage_.size() < bytes) {
    RIDGELINE_TRY(packed.storage_, Buffer::allocate(bytes, "a packed matrix"));
  }

  const std::int64_t groups = ceil_div(m.rows, kRowGroup);
  std::vector<std::vector<float>> gathered(static_cast<std::size_t>(threads().size()));
  threads().parallel_for(stretches * groups, [&](std::int64_t item, int worker) {
    const std::int64_t stretch = item / groups, row = item % groups * kRowGroup;
    const std::int64_t col = stretch * kInputsMax, cols = std::min(kInputsMax, m.cols - col);
    const std::int64_t rows = std::min(kRowGroup, m.rows - row);
    const float* data = m.data + row * m.stride + col;
    if (m.stride != cols) {
      auto& copy = gathered[static_cast<std::size_t>(worker)];
      copy.resize(static_cast<std::size_t>(rows * cols));
      for (std::int64_t r = 0; r < rows; ++r)
        std::copy_n(data + r * m.stride, cols, copy.data() + r * cols);
      data = copy.data();
    }
    std::byte* to = packed.storage_.data() + static_cast<std::size_t>(stretch) * stretch_bytes;
    if (row > 0) to += *packed_bytes(row, cols);
    backend_->pack_rows(DType::kF32, rows, cols, reinterpret_cast<const std::byte*>(data), to);
  });
  return {};
}

void LinearAlgebra::add_product(Matrix x, const PackedMatrix& m, float factor, Matrix out) {
  RIDGELINE_CHECK(x.cols == m.cols() && x.rows == out.rows);
  RIDGELINE_CHECK(out.cols == m.rows() || (out.cols < m.rows() && out.cols % kRowGroup == 0));
  const std::size_t stretch_bytes = *packed_bytes(m.rows(), std::min(m.cols(), kInputsMax));
  for (std::int64_t col = 0; col < x.cols; col += kInputsMax) {
    const std::int64_t cols = std::min(kInputsMax, x.cols - col);
    const std::byte* data =
        m.storage_.data() + static_cast<std::size_t>(col / kInputsMax) * stretch_bytes;
    // Rows lie one group after the other: the first ones are a matrix as well.
    const PackedBytes bytes{{data, *packed_bytes(out.cols, cols)}, nullptr};
    const auto weight = *backend_->adopt_weight(DType::kF32, out.cols, cols, bytes);
    for (std::int64_t row = 0; row < x.rows; row += kRowsMax) {
      const std::int64_t rows = std::min(kRowsMax, x.rows - row);
      const LinearOutput output{weight.get(), out.slice_rows(row, rows), nullptr, true, factor};
      backend_->linear(x.slice_rows(row, rows).slice_cols(col, cols), {&output, 1});
    }
  }
}

void LinearAlgebra::transpose(Matrix x, float* out) {
  threads().parallel_for(ceil_div(x.cols, kTransposeTile), [&](std::int64_t tile, int) {
    const std::int64_t begin = tile * kTransposeTile;
    const std::int64_t end = std::min(x.cols, begin + kTransposeTile);
    for (std::int64_t row = 0; row < x.rows; row += kTransposeTile) {
      const std::int64_t row_end = std::min(x.rows, row + kTransposeTile);
      for (std::int64_t c = begin; c < end; ++c)
        for (std::int64_t r = row; r < row_end; ++r) out[c * x.rows + r] = x.data[r * x.stride + c];
    }
  });
}

Result<Matrix> LinearAlgebra::transposed(Matrix x, Buffer& storage) {
  const auto bytes = static_cast<std::size_t>(x.rows * x.cols) * sizeof(float);
  if (storage.size() < bytes) {
    RIDGELINE_TRY(storage, Buffer::allocate(bytes, "transposed activations"));
  }
  auto* data = reinterpret_cast<float*>(storage.data());
  transpose(x, data);
  return Matrix{data, x.cols, x.rows, x.rows};
}

Status LinearAlgebra::add_cross_products(Matrix r, Matrix x, Matrix c) {
  RIDGELINE_CHECK(r.rows == x.rows && r.cols == c.rows && x.cols == c.cols);
  for (std::int64_t row = 0; row < x.rows; row += kChunkRows) {
    const std::int64_t rows = std::min(kChunkRows, x.rows - row);
    RIDGELINE_TRY(const Matrix inputs, transposed(x.slice_rows(row, rows), transposed_));
    RIDGELINE_TRY(const Matrix outputs, transposed(r.slice_rows(row, rows), transposed_outputs_));
    RIDGELINE_TRY_STATUS(pack(inputs, packed_chunk_));
    add_product(outputs, packed_chunk_, 1.0F, c);
  }
  return {};
}

Status LinearAlgebra::add_outer_products(Matrix x, Hessian& h) {
  const std::int64_t n = h.cols();
  RIDGELINE_CHECK(x.cols == n);
  for (std::int64_t row = 0; row < x.rows; row += kChunkRows) {
    const Matrix chunk = x.slice_rows(row, std::min(kChunkRows, x.rows - row));
    RIDGELINE_TRY(const Matrix inputs, transposed(chunk, transposed_));
    RIDGELINE_TRY_STATUS(pack(inputs, packed_chunk_));
    for (std::int64_t begin = 0; begin < n; begin += kBlockRows) {
      const std::int64_t rows = std::min(kBlockRows, n - begin);
      add_product(inputs.slice_rows(begin, rows), packed_chunk_, 1.0F,
                  Matrix{h.data() + begin * n, rows, begin + rows, n});
    }
  }
  h.added(x.rows);
  return {};
}

void LinearAlgebra::finish(Hessian& h) {
  const std::int64_t n = h.cols();
  float* a = h.data();
  threads().parallel_for(ceil_div(n, kTransposeTile), [&](std::int64_t tile, int) {
    const std::int64_t begin = tile * kTransposeTile, end = std::min(n, begin + kTransposeTile);
    for (std::int64_t r = begin; r < n; ++r)
      for (std::int64_t c = begin; c < std::min(end, r); ++c) a[c * n + r] = a[r * n + c];
  });
}

}  // namespace ridgeline::ptq
