#include "ridgeline/tools/ptq/gptq_factor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace ridgeline::ptq {
namespace {

/// Each ten times the one before: 0.01 of the mean diagonal becomes 100 of it.
constexpr int kDampings = 5;
constexpr double kDampingMin = 1e-4;  ///< of the retries, where none was asked for
/// Of the types that can hold rows of any width at all.
constexpr std::int64_t kSmallBlock = 32;

/// a = P a Pᵀ in place: row and column i of the result were order[i].
void permute(float* a, std::span<const std::int32_t> order, ThreadPool& threads) {
  const auto n = static_cast<std::int64_t>(order.size());
  const std::size_t row_bytes = order.size() * sizeof(float);
  std::vector<float> first(order.size());
  std::vector<bool> done(order.size());
  for (std::size_t start = 0; start < order.size(); ++start) {
    if (done[start]) continue;
    std::memcpy(first.data(), a + static_cast<std::int64_t>(start) * n, row_bytes);
    for (std::size_t i = start;; i = static_cast<std::size_t>(order[i])) {
      done[i] = true;
      const auto from = static_cast<std::size_t>(order[i]);
      float* to = a + static_cast<std::int64_t>(i) * n;
      if (from == start) {
        std::memcpy(to, first.data(), row_bytes);
        break;
      }
      std::memcpy(to, a + static_cast<std::int64_t>(from) * n, row_bytes);
    }
  }
  std::vector<std::vector<float>> rows(static_cast<std::size_t>(threads.size()));
  threads.parallel_for(n, [&](std::int64_t r, int worker) {
    auto& row = rows[static_cast<std::size_t>(worker)];
    row.assign(a + r * n, a + (r + 1) * n);
    for (std::size_t c = 0; c < order.size(); ++c)
      a[r * n + static_cast<std::int64_t>(c)] = row[static_cast<std::size_t>(order[c])];
  });
}

/// The lower triangle from the upper one, and the diagonal.
void restore(float* a, std::span<const float> diagonal, ThreadPool& threads) {
  const auto n = static_cast<std::int64_t>(diagonal.size());
  threads.parallel_for(n, [&](std::int64_t r, int) {
    for (std::int64_t c = 0; c < r; ++c) a[r * n + c] = a[c * n + r];
    a[r * n + r] = diagonal[static_cast<std::size_t>(r)];
  });
}

/// The columns of L, divided by what is on the diagonal.
void make_unit(float* l, std::int64_t n, ThreadPool& threads) {
  std::vector<float> inverse(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) inverse[static_cast<std::size_t>(i)] = 1 / l[i * n + i];
  threads.parallel_for(n, [&](std::int64_t r, int) {
    for (std::int64_t c = 0; c <= r; ++c) l[r * n + c] *= inverse[static_cast<std::size_t>(c)];
  });
}

}  // namespace

std::vector<std::int32_t> rounding_order(std::span<const float> diagonal, std::int64_t block) {
  const auto n = static_cast<std::int64_t>(diagonal.size());
  std::vector<std::int32_t> order(diagonal.size());
  std::iota(order.begin(), order.end(), 0);
  std::vector<double> sums;
  for (std::int64_t b = 0; b < n; b += block)
    sums.push_back(
        std::accumulate(diagonal.begin() + b, diagonal.begin() + std::min(n, b + block), 0.0));
  std::ranges::stable_sort(order, [&](std::int32_t x, std::int32_t y) {
    const auto bx = static_cast<std::size_t>(x / block), by = static_cast<std::size_t>(y / block);
    if (bx != by) return sums[bx] != sums[by] ? sums[bx] < sums[by] : bx < by;
    return diagonal[static_cast<std::size_t>(x)] < diagonal[static_cast<std::size_t>(y)];
  });
  return order;
}

Result<GptqFactor> GptqFactor::make(Hessian& hessian, const GptqOptions& options,
                                    LinearAlgebra& algebra, const std::string& what,
                                    Matrix missing) {
  const std::int64_t n = hessian.cols();
  float* a = hessian.data();
  double trace = 0;
  for (std::int64_t i = 0; i < n; ++i) trace += static_cast<double>(a[i * n + i]);
  if (hessian.rows() == 0) return fail(fmt::format("{}: no row of calibration reached it", what));
  // A row that is not a number makes the whole trace so.
  if (!std::isfinite(trace) || trace <= 0)
    return fail(
        fmt::format("{}: the trace of its Hessian is {}, expected a positive number", what, trace));
  const double mean = trace / static_cast<double>(n);

  GptqFactor factor;
  factor.block_ = n % options.block_elements == 0 ? options.block_elements : kSmallBlock;
  std::vector<float> diagonal(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) diagonal[static_cast<std::size_t>(i)] = a[i * n + i];
  if (options.act_order) {
    factor.order_ = rounding_order(diagonal, factor.block_);
  } else {
    factor.order_.resize(static_cast<std::size_t>(n));
    std::iota(factor.order_.rbegin(), factor.order_.rend(), 0);
  }
  permute(a, factor.order_, algebra.threads());

  std::vector<float> damped(diagonal.size());
  double damping = options.damping;
  for (int i = 0;; ++i, damping *= 10) {
    const auto lambda = static_cast<float>(damping * mean);
    for (std::size_t p = 0; p < damped.size(); ++p) {
      const float own = diagonal[static_cast<std::size_t>(factor.order_[p])];
      // An input that never was: its weights are rounded to nearest.
      damped[p] = own > 0 ? own + lambda : std::max(lambda, static_cast<float>(mean));
    }
    restore(a, damped, algebra.threads());
    RIDGELINE_TRY(const bool is_positive, algebra.cholesky(a, n));
    if (is_positive) break;
    if (i + 1 == kDampings)
      return fail(fmt::format(
          "{}: its Hessian is not positive definite, even with {:g} of its mean diagonal added",
          what, damping));
    if (damping <= 0) damping = kDampingMin / 10;
  }
  factor.damping_ = damping;
  factor.weights_.resize(damped.size());
  for (std::size_t p = 0; p < damped.size(); ++p)
    factor.weights_[static_cast<std::size_t>(factor.order_[p])] = damped[p];
  if (missing.rows > 0) RIDGELINE_TRY_STATUS(factor.divide(a, missing, algebra));
  make_unit(a, n, algebra.threads());
  RIDGELINE_TRY_STATUS(factor.cut(a, algebra));
  restore(a, damped, algebra.threads());
  return factor;
}

Status GptqFactor::divide(const float* l, Matrix b, LinearAlgebra& algebra) const {
  std::vector<std::vector<float>> rows(static_cast<std::size_t>(algebra.threads().size()));
  const auto reorder = [&](bool by_position) {
    algebra.threads().parallel_for(b.rows, [&](std::int64_t r, int worker) {
      auto& row = rows[static_cast<std::size_t>(worker)];
      float* data = b.data + r * b.stride;
      row.assign(data, data + b.cols);
      for (std::size_t p = 0; p < order_.size(); ++p) {
        const auto input = static_cast<std::size_t>(order_[p]);
        data[by_position ? p : input] = row[by_position ? input : p];
      }
    });
  };
  reorder(true);
  RIDGELINE_TRY_STATUS(algebra.solve(l, cols(), b));
  reorder(false);
  return {};
}

Status GptqFactor::cut(float* l, LinearAlgebra& algebra) {
  const std::int64_t n = cols();
  std::vector<float> later;
  for (std::int64_t end = n; end > 0; end -= kBatch) {
    Batch batch;
    batch.begin = std::max<std::int64_t>(0, end - kBatch);
    batch.end = end;
    const std::int64_t width = batch.width(), rest = n - end;
    batch.within.resize(static_cast<std::size_t>(width * width));
    algebra.transpose(Matrix{l + batch.begin * (n + 1), width, width, n}, batch.within.data());
    if (rest > 0) {
      later.resize(static_cast<std::size_t>(width * rest));
      algebra.transpose(Matrix{l + end * n + batch.begin, rest, width, n}, later.data());
      RIDGELINE_TRY_STATUS(algebra.pack(Matrix{later.data(), width, rest, rest}, batch.later));
    }
    batches_.push_back(std::move(batch));
  }
  return {};
}

}  // namespace ridgeline::ptq
