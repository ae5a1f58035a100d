#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "ridgeline/base/result.h"
#include "ridgeline/model/batch.h"
#include "ridgeline/model/model_config.h"
#include "ridgeline/model/model_file.h"
#include "ridgeline/model/packed_cache.h"
#include "ridgeline/ops/backend.h"

namespace ridgeline {

/// A transformer: tokens in, logits or hidden states out. Holds weights and the
/// activations of one step; the KV cache is the caller's.
class Model {
 public:
  virtual ~Model() = default;

  /// Layers [first, end), and what lies before and behind all of them.
  struct Part {
    int first_layer = 0, end_layer = 0;
    bool ends = true;  ///< embeddings, final norm, head
  };
  struct LoadOptions {
    std::int64_t max_batch_rows = 512;  ///< of one forward()
    std::int64_t max_logit_rows = 16;   ///< of one head()
    std::int64_t max_positions = 0;     ///< of one sequence; 0: the model's context length
    PackedCacheOptions packed_cache{};
    /// For layer-by-layer work on a model that need not fit in memory; nullopt: all of it.
    std::optional<Part> part{};
    std::function<void(double fraction)> progress;  ///< while weights are repacked; may be empty
  };
  /// Repacks the weights and lets go of the file's pages behind it, or finds them packed.
  /// Errors name the file and the tensor: missing, of another shape, of an unsupported type.
  static Result<std::unique_ptr<Model>> load(const ModelFile& file, Backend& backend,
                                             const LoadOptions& options);
  /// Of a checkpoint that has the tensors of options.part and no others.
  static Result<std::unique_ptr<Model>> load(const Checkpoint& file, ModelConfig config,
                                             Backend& backend, const LoadOptions& options);

  virtual const ModelConfig& config() const = 0;
  virtual std::size_t weight_bytes() const = 0;
  virtual std::size_t workspace_bytes() const = 0;
  virtual const PackedCacheReport& packed_cache() const = 0;

  /// Writes the batch's K and V to the cache and leaves the final hidden states of
  /// batch.logit_rows for head() and hidden(). An encoder needs each sequence whole.
  virtual void forward(const Batch& batch, KvCache& cache) = 0;
  /// Normed hidden states of the last forward()'s logit_rows[begin .. begin + count), to
  /// out [count][hidden_size].
  virtual void hidden(std::int64_t begin, std::int64_t count, std::span<float> out) = 0;
  /// Logits of the last forward()'s logit_rows[begin .. begin + count), to
  /// out [count][vocab_size].
  virtual void head(std::int64_t begin, std::int64_t count, std::span<float> out) = 0;

  // ---- forward() in pieces, for models that hold a part. x: the residual stream of the
  // batch's rows, [rows][hidden_size], in the host's memory ----
  virtual void embed(const Batch& batch, std::span<float> x) = 0;
  virtual void run_layer(int layer, const Batch& batch, KvCache& cache, std::span<float> x) = 0;
  /// The final norm, for head() and hidden() of all rows.
  virtual void finish(const Batch& batch, std::span<const float> x) = 0;
};

}  // namespace ridgeline
