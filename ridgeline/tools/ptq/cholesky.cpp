#include <algorithm>
#include <cmath>
#include <vector>

#include "ridgeline/base/check.h"
#include "ridgeline/tools/ptq/hessian.h"

// Blocked, right-looking (Golub and Van Loan, "Matrix Computations", 4th edition, section 4.2.6):
// panel by panel, nearly all of the work is the product that each subtracts from what follows.

namespace ridgeline::ptq {
namespace {

constexpr std::int64_t kPanel = 256;
static_assert(kPanel % LinearAlgebra::kRowGroup == 0);
/// Rows of the product that are computed at once, of which only the lower triangle is used.
constexpr std::int64_t kBlockRows = 512;

/// A panel's square on the diagonal, in double precision: L and its inverse.
class DiagonalBlock {
 public:
  DiagonalBlock() : l_(kPanel * kPanel), inverse_(kPanel * kPanel) {}

  /// Factors the block [n][n] at `a`, in place. False: a pivot is not positive.
  bool factor(float* a, std::int64_t stride, std::int64_t n) {
    for (std::int64_t r = 0; r < n; ++r) {
      double* row = &l_[static_cast<std::size_t>(r * kPanel)];
      for (std::int64_t c = 0; c <= r; ++c) {
        const double* other = &l_[static_cast<std::size_t>(c * kPanel)];
        double sum = static_cast<double>(a[r * stride + c]);
        for (std::int64_t k = 0; k < c; ++k) sum -= row[k] * other[k];
        if (c < r) {
          row[c] = sum / other[c];
        } else {
          if (!(sum > 0) || !std::isfinite(sum)) return false;
          row[c] = std::sqrt(sum);
        }
        a[r * stride + c] = static_cast<float>(row[c]);
      }
    }
    return true;
  }

  /// Takes a factor that there is.
  void load(const float* l, std::int64_t stride, std::int64_t n) {
    for (std::int64_t r = 0; r < n; ++r)
      for (std::int64_t c = 0; c <= r; ++c)
        l_[static_cast<std::size_t>(r * kPanel + c)] = static_cast<double>(l[r * stride + c]);
  }

  /// Of the factor, [n][n] at `out`.
  void invert(std::int64_t n, float* out) {
    std::ranges::fill(inverse_, 0.0);
    for (std::int64_t r = 0; r < n; ++r) {
      // Row r of the inverse from those above: (e_r - Σ L_rk inverse_k) / L_rr.
      double* row = &inverse_[static_cast<std::size_t>(r * kPanel)];
      const double* l = &l_[static_cast<std::size_t>(r * kPanel)];
      row[r] = 1;
      for (std::int64_t k = 0; k < r; ++k) {
        const double* above = &inverse_[static_cast<std::size_t>(k * kPanel)];
        for (std::int64_t c = 0; c <= k; ++c) row[c] -= l[k] * above[c];
      }
      for (std::int64_t c = 0; c < n; ++c) {
        if (c <= r) row[c] /= l[r];
        out[r * n + c] = static_cast<float>(row[c]);
      }
    }
  }

 private:
  std::vector<double> l_, inverse_;
};

/// What products on the diagonal write above it is undone.
class UpperTriangle {
 public:
  UpperTriangle(float* a, std::int64_t stride, std::int64_t n, std::vector<float>& kept)
      : a_(a), stride_(stride), n_(n), kept_(kept) {
    kept_.clear();
    for (std::int64_t r = 0; r < n; ++r)
      kept_.insert(kept_.end(), a + r * stride + r + 1, a + r * stride + n);
  }
  ~UpperTriangle() {
    const float* from = kept_.data();
    for (std::int64_t r = 0; r < n_; from += n_ - r - 1, ++r)
      std::copy_n(from, n_ - r - 1, a_ + r * stride_ + r + 1);
  }
  UpperTriangle(const UpperTriangle&) = delete;
  UpperTriangle& operator=(const UpperTriangle&) = delete;

 private:
  float* a_;
  std::int64_t stride_, n_;
  std::vector<float>& kept_;
};

}  // namespace

Result<bool> LinearAlgebra::cholesky(float* a, std::int64_t n) {
  DiagonalBlock diagonal;
  std::vector<float> inverse(static_cast<std::size_t>(kPanel * kPanel));
  std::vector<float> kept;
  PackedMatrix packed_inverse;
  RIDGELINE_TRY(Buffer below_storage,
                Buffer::allocate(static_cast<std::size_t>(n * kPanel) * sizeof(float),
                                 "a panel of a Cholesky factor"));
  auto* below = reinterpret_cast<float*>(below_storage.data());

  for (std::int64_t begin = 0; begin < n; begin += kPanel) {
    const std::int64_t width = std::min(kPanel, n - begin), end = begin + width;
    if (!diagonal.factor(a + begin * n + begin, n, width)) return false;
    const std::int64_t rest = n - end;
    if (rest == 0) break;

    // L21 = A21 L11^-T
    diagonal.invert(width, inverse.data());
    RIDGELINE_TRY_STATUS(pack(Matrix{inverse.data(), width, width, width}, packed_inverse));
    std::fill_n(below, rest * width, 0.0F);
    const Matrix panel{a + end * n + begin, rest, width, n};
    const Matrix l21{below, rest, width, width};
    add_product(panel, packed_inverse, 1.0F, l21);
    for (std::int64_t r = 0; r < rest; ++r)
      std::copy_n(below + r * width, width, panel.data + r * n);

    // A22 -= L21 L21ᵀ
    RIDGELINE_TRY_STATUS(pack(l21, packed_chunk_));
    for (std::int64_t row = 0; row < rest; row += kBlockRows) {
      const std::int64_t rows = std::min(kBlockRows, rest - row);
      UpperTriangle upper(a + (end + row) * (n + 1), n, rows, kept);
      add_product(l21.slice_rows(row, rows), packed_chunk_, -1.0F,
                  Matrix{a + (end + row) * n + end, rows, row + rows, n});
    }
  }
  return true;
}

Status LinearAlgebra::solve(const float* l, std::int64_t n, Matrix b) {
  RIDGELINE_CHECK(b.cols == n);
  DiagonalBlock diagonal;
  std::vector<float> inverse(static_cast<std::size_t>(kPanel * kPanel)), turned(inverse);
  std::vector<float> panel(static_cast<std::size_t>(b.rows * kPanel)), later;
  PackedMatrix packed;
  // A panel of b, of which what it owes to others is subtracted, times the inverse or its
  // transpose.
  const auto divide = [&](std::int64_t begin, std::int64_t width, bool is_transposed) -> Status {
    diagonal.load(l + begin * (n + 1), n, width);
    diagonal.invert(width, inverse.data());
    const Matrix m{inverse.data(), width, width, width};
    transpose(m, turned.data());
    RIDGELINE_TRY_STATUS(
        pack(is_transposed ? Matrix{turned.data(), width, width, width} : m, packed));
    std::fill_n(panel.begin(), b.rows * width, 0.0F);
    add_product(b.slice_cols(begin, width), packed, 1.0F, {panel.data(), b.rows, width, width});
    for (std::int64_t r = 0; r < b.rows; ++r)
      std::copy_n(panel.data() + r * width, width, b.data + r * b.stride + begin);
    return {};
  };

  // y Lᵀ = b, the first columns first
  for (std::int64_t begin = 0; begin < n; begin += kPanel) {
    const std::int64_t width = std::min(kPanel, n - begin);
    if (begin > 0) {
      RIDGELINE_TRY_STATUS(pack({const_cast<float*>(l) + begin * n, width, begin, n}, packed));
      add_product(b.slice_cols(0, begin), packed, -1.0F, b.slice_cols(begin, width));
    }
    RIDGELINE_TRY_STATUS(divide(begin, width, false));
  }
  // z L = y, the last ones first
  for (std::int64_t end = n; end > 0;) {
    const std::int64_t begin = (end - 1) / kPanel * kPanel, width = end - begin, rest = n - end;
    if (rest > 0) {
      later.resize(static_cast<std::size_t>(width * rest));
      transpose({const_cast<float*>(l) + end * n + begin, rest, width, n}, later.data());
      RIDGELINE_TRY_STATUS(pack({later.data(), width, rest, rest}, packed));
      add_product(b.slice_cols(end, rest), packed, -1.0F, b.slice_cols(begin, width));
    }
    RIDGELINE_TRY_STATUS(divide(begin, width, true));
    end = begin;
  }
  return {};
}

}  // namespace ridgeline::ptq
