#pragma once

#include <vector>

#include "ridgeline/ops/cpu/cpu_backend.h"
#include "ridgeline/tools/ablation/forwarding_backend.h"

namespace ridgeline {

/// A model as a first implementation runs it: weights in the rows of the file, one
/// multiplication after the other, attention through a score matrix. What takes about no time
/// (norms, rotations, activations) is left to the portable kernels, which GCC lowers to SSE2.
///
/// The KV cache is F16. Models with latent attention are not run.
class ScalarBackend final : public ForwardingBackend {
 public:
  static Result<std::unique_ptr<Backend>> create(const BackendOptions& options);

  std::string_view isa() const override { return "scalar"; }
  Result<std::size_t> packed_bytes(MatrixType type, std::int64_t rows,
                                   std::int64_t cols) const override;
  std::int64_t pack_granularity() const override;
  void pack_rows(MatrixType type, std::int64_t rows, std::int64_t cols, const std::byte* data,
                 std::byte* packed) const override;
  std::uint64_t packed_layout(MatrixType type) const override;
  Result<std::unique_ptr<PackedWeight>> adopt_weight(MatrixType type, std::int64_t rows,
                                                     std::int64_t cols,
                                                     PackedBytes packed) override;
  Result<std::unique_ptr<KvCache>> make_kv_cache(const KvCacheShape& shape) override;
  Status reserve(const Limits& limits) override;
  std::size_t workspace_bytes() const override;

  void embed(const PackedWeight& table, std::span<const std::int32_t> tokens, Matrix out) override;
  void linear(Matrix x, std::span<const LinearOutput> outputs) override;
  void gated_linear(Matrix x, const PackedWeight& gate, const PackedWeight& up, Matrix out,
                    Activation f) override;
  void linear_by_head(Matrix x, std::span<const std::unique_ptr<PackedWeight>> weights,
                      Matrix out) override;
  void experts(Matrix x, const ExpertChoice& choice, const ExpertWeights& weights,
               Matrix out) override;
  void attention(const KvCache& cache, int layer, Matrix q, std::span<const SequenceSlice> slices,
                 const AttentionParams& params, Matrix out) override;

 private:
  explicit ScalarBackend(std::unique_ptr<CpuBackend> inner);

  /// put(row, output, Σ) for every row of x and output of the weight.
  template <class Put>
  void multiply(Matrix x, const PackedWeight& weight, Put&& put);
  /// One KV head of one slice.
  struct HeadWork;
  void attend(const HeadWork& work, int worker);
  float* floats(std::vector<Buffer>& buffers, int worker) {
    return reinterpret_cast<float*>(buffers[static_cast<std::size_t>(worker)].data());
  }

  CpuBackend& cpu_;
  std::vector<Buffer> rows_;      ///< by worker: a row of a weight
  std::vector<Buffer> keys_;      ///< by worker: K of one head
  std::vector<Buffer> values_;    ///< likewise V
  std::vector<Buffer> matrices_;  ///< by worker: the scores of one head
  std::int64_t matrix_stride_ = 0;
};

}  // namespace ridgeline
