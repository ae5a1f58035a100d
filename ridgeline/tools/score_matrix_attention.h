#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/tensor/buffer.h"

namespace ridgeline {

/// Causal attention of one head as the paper writes it (Vaswani et al. 2017): all scores
/// into a matrix [positions][positions], a softmax over its rows, its product with V.
/// What FlashAttention is measured against; nothing else uses it.
///
/// Both products go through the ISA's own F16 matrix kernels, and what lies above the
/// diagonal is not computed, so the difference is the matrix and its way through memory.
/// The softmax here is plain code for the baseline of the machine.
class ScoreMatrixAttention {
 public:
  /// k and v: F16, [positions][head_dim].
  static Result<ScoreMatrixAttention> create(const KernelTable& kernels, int head_dim,
                                             std::span<const std::uint16_t> k,
                                             std::span<const std::uint16_t> v);

  /// q and out: [positions][head_dim].
  void run(const float* q, float scale, float* out);

  /// Beside K, V, q and out.
  std::size_t memory_bytes() const;
  /// Of the matrix alone.
  static std::size_t matrix_bytes(std::int64_t positions);

 private:
  ScoreMatrixAttention() = default;
  std::int64_t chunk_positions(std::int64_t chunk) const;
  void touch_scores();
  Result<Buffer> pack(std::span<const std::uint16_t> rows, std::int64_t count, std::int64_t cols);
  void compute_scores(const float* q, float scale);
  void softmax_rows();
  void weigh_values(float* out);
  int tile_rows(std::int64_t first) const;

  const KernelTable* kernels_ = nullptr;
  const WeightKernel* weight_ = nullptr;
  const ActivationKernel* packer_ = nullptr;
  int head_dim_ = 0;
  std::int64_t positions_ = 0;
  std::int64_t stride_ = 0;       ///< floats of a row of the matrix
  Buffer k_panels_;               ///< K as a weight [positions][head_dim]
  std::vector<Buffer> v_panels_;  ///< V as weights [head_dim][kChunk], the last one narrower
  Buffer scores_;                 ///< [positions][stride_]
  Buffer tile_;
  std::vector<float> scaled_;
};

}  // namespace ridgeline
