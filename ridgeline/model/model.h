#pragma once

#include <cstdint>
#include <functional>
#include <memory>
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

  struct LoadOptions {
    std::int64_t max_batch_rows = 512;  ///< of one forward()
    std::int64_t max_logit_rows = 16;   ///< of one head()
    std::int64_t max_positions = 0;     ///< of one sequence; 0: the model's context length
    PackedCacheOptions packed_cache{};
    std::function<void(double fraction)> progress;  ///< while weights are repacked; may be empty
  };
  /// Repacks the weights and lets go of the file's pages behind it, or finds them packed.
  /// Errors name the file and the tensor: missing, of another shape, of an unsupported type.
  static Result<std::unique_ptr<Model>> load(const ModelFile& file, Backend& backend,
                                             const LoadOptions& options);

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
};

}  // namespace ridgeline
