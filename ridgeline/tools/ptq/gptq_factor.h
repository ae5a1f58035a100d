#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/ptq/gptq.h"

namespace ridgeline::ptq {

/// The order in which GPTQ rounds inputs, backwards: the first to be rounded is the last here.
/// Blocks of `block` inputs stay together, in the order of their sums of `diagonal`.
std::vector<std::int32_t> rounding_order(std::span<const float> diagonal, std::int64_t block);

/// What GPTQ asks of a Hessian. With P H Pᵀ + λ = L D Lᵀ, L of unit diagonal and P the order
/// above, the best value of weight k once i > k are rounded, while those before k are still
/// free to make up for it, is
///     w_k + Σ_{i > k} (w_i - ŵ_i) L_ik,
/// which is GPTQ's feedback without an inverse (Chee et al. 2023, "QuIP: 2-Bit Quantization of
/// Large Language Models With Guarantees", theorem 6).
class GptqFactor {
 public:
  /// Columns whose feedback from all later ones is one product.
  static constexpr std::int64_t kBatch = 256;

  /// Columns [begin, end) of L.
  struct Batch {
    std::int64_t begin, end;
    PackedMatrix later;         ///< [k][i - end] L_ik, i from end on
    std::vector<float> within;  ///< [k][i] L_ik, both from begin on

    std::int64_t width() const { return end - begin; }
    /// L_ik from i = begin on.
    const float* column(std::int64_t k) const { return within.data() + (k - begin) * width(); }
  };

  /// Leaves the Hessian damped, and by position.
  static Result<GptqFactor> make(Hessian& hessian, const GptqOptions& options,
                                 LinearAlgebra& algebra, const std::string& what,
                                 Matrix missing = {});

  std::int64_t cols() const { return static_cast<std::int64_t>(order_.size()); }
  std::int64_t block() const { return block_; }  ///< inputs that stay together
  double damping() const { return damping_; }    ///< λ over the mean of the diagonal
  /// Input at each position.
  std::span<const std::int32_t> order() const { return order_; }
  /// The last one, where rounding begins, first.
  std::span<const Batch> batches() const { return batches_; }
  /// The damped diagonal of the Hessian, by input: how much an error matters by itself.
  std::span<const float> weights() const { return weights_; }

 private:
  /// b = b (H + λ)⁻¹, columns by input
  Status divide(const float* l, Matrix b, LinearAlgebra& algebra) const;
  Status cut(float* l, LinearAlgebra& algebra);

  std::int64_t block_ = 0;
  double damping_ = 0;
  std::vector<std::int32_t> order_;
  std::vector<Batch> batches_;
  std::vector<float> weights_;
};

}  // namespace ridgeline::ptq
