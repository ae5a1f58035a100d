#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ridgeline/model/model.h"
#include "ridgeline/model/weight_loader.h"

namespace ridgeline {

/// What every decoder-only transformer here has in common: embedding in, head out,
/// the activations of a step. An architecture adds its layers and forward().
class Decoder : public Model {
 public:
  const ModelConfig& config() const final { return config_; }
  std::size_t weight_bytes() const final { return weight_bytes_; }
  std::size_t workspace_bytes() const final;
  const PackedCacheReport& packed_cache() const final { return packed_cache_; }
  void head(std::int64_t begin, std::int64_t count, std::span<float> out) final;

  /// Everything but the layers, then load_layer() for each of them.
  Status load(const Checkpoint& file, const LoadOptions& options);

 protected:
  Decoder(ModelConfig config, Backend& backend);

  /// Takes the tensors whose names start with `prefix` ("blk.3.").
  virtual Status load_layer(WeightLoader& loader, const std::string& prefix) = 0;

  /// x_ = embeddings of the batch; rope_ = the angles of its positions.
  void begin(const Batch& batch);
  /// Drops the rows of x_ and attention_ that no logits are wanted of: after the last
  /// layer's cache is written nothing else needs them. False if none is left.
  bool keep_logit_rows(const Batch& batch);
  /// The final norm over x_.
  void finish();

  Backend& ops_;
  const ModelConfig config_;

  // Activations of one step, [rows of the batch][...].
  Matrix x_;          ///< [hidden_size], the residual stream
  Matrix h_;          ///< [hidden_size], normalised
  Matrix q_;          ///< [num_heads * head_dim]
  Matrix k_, v_;      ///< [num_kv_heads * head_dim]
  Matrix attention_;  ///< [num_heads * head_dim]
  Matrix ffn_;        ///< [ffn_size]
  Matrix rope_;       ///< [rope.dims], cosines then sines

 private:
  Status allocate_workspace(const LoadOptions& options);
  Result<Matrix> workspace_matrix(std::int64_t rows, std::int64_t cols, const char* what);
  void set_rows(std::int64_t rows);

  std::vector<float> inverse_frequencies_;
  std::unique_ptr<PackedWeight> embedding_;
  std::unique_ptr<PackedWeight> untied_head_;  ///< null: the embedding is the head
  std::unique_ptr<DeviceBuffer> final_norm_;
  std::vector<std::unique_ptr<DeviceBuffer>> workspace_;
  Matrix logits_;  ///< [max_logit_rows][vocab_size]
  std::size_t weight_bytes_ = 0;
  PackedCacheReport packed_cache_;
};

/// Null-safe data pointer of an optional vector.
inline const float* floats(const std::unique_ptr<DeviceBuffer>& buffer) {
  return buffer ? buffer->floats() : nullptr;
}

}  // namespace ridgeline
