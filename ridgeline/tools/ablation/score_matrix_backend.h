#pragma once

#include <vector>

#include "ridgeline/ops/cpu/cpu_backend.h"
#include "ridgeline/tools/ablation/forwarding_backend.h"

namespace ridgeline {

/// The CPU backend with attention as the paper writes it (Vaswani et al. 2017): a matrix of all
/// scores, a softmax over its rows, its product with V. Both products go through the F16 matrix
/// kernels of the same instruction set, over the same paged cache, so that what differs is the
/// matrix and its way through memory.
///
/// The KV cache is F16. Models with latent attention are not run.
class ScoreMatrixBackend final : public ForwardingBackend {
 public:
  static Result<std::unique_ptr<Backend>> create(const BackendOptions& options);

  Result<std::unique_ptr<KvCache>> make_kv_cache(const KvCacheShape& shape) override;
  Status reserve(const Limits& limits) override;
  std::size_t workspace_bytes() const override;
  void attention(const KvCache& cache, int layer, Matrix q, std::span<const SequenceSlice> slices,
                 const AttentionParams& params, Matrix out) override;

 private:
  explicit ScoreMatrixBackend(std::unique_ptr<CpuBackend> inner);

  struct HeadWork;  // one KV head of one slice
  struct Rows;      // query rows that share its K and V
  void attend(const HeadWork& work, int worker);
  void attend_rows(const HeadWork& work, const Rows& rows, int worker);
  void compute_scores(const HeadWork& work, const Rows& rows, int worker);
  void softmax_rows(const HeadWork& work, const Rows& rows, int worker);
  void weigh_values(const HeadWork& work, const Rows& rows, int worker);
  const std::byte* key_panels(const HeadWork& work, std::int64_t block, int worker);

  /// What a thread works in.
  struct Scratch {
    Buffer matrix;   ///< [rows][stride_]
    Buffer queries;  ///< [rows][head_dim], scaled
    Buffer outputs;  ///< [rows][value_dim in whole panels]
    Buffer keys;     ///< a panel of 16 positions
    Buffer values;   ///< panels of a chunk of positions
    Buffer tile;     ///< packed rows of queries or scores
  };

  CpuBackend& cpu_;
  const WeightKernel& kernel_;
  const ActivationKernel& packer_;
  std::vector<Scratch> scratch_;  ///< by worker
  std::int64_t stride_ = 0;       ///< floats of a row of the matrix
};

}  // namespace ridgeline
