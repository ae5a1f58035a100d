#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ridgeline/model/layer_weights.h"
#include "ridgeline/model/mixture.h"
#include "ridgeline/model/model.h"
#include "ridgeline/model/weight_loader.h"

namespace ridgeline {

/// What the transformers here have in common: embedding in, layers, head out, the activations of
/// a step. An architecture adds what a layer is.
class Decoder : public Model {
 public:
  const ModelConfig& config() const final { return config_; }
  std::size_t weight_bytes() const final { return weight_bytes_; }
  std::size_t workspace_bytes() const final;
  const PackedCacheReport& packed_cache() const final { return packed_cache_; }
  void forward(const Batch& batch, KvCache& cache) final;
  void embed(const Batch& batch, std::span<float> x) final;
  void run_layer(int layer, const Batch& batch, KvCache& cache, std::span<float> x) final;
  void finish(const Batch& batch, std::span<const float> x) final;
  void hidden(std::int64_t begin, std::int64_t count, std::span<float> out) final;
  void head(std::int64_t begin, std::int64_t count, std::span<float> out) final;

  /// Everything but the layers, then load_layer() for each of them.
  Status load(const Checkpoint& file, const LoadOptions& options);

 protected:
  Decoder(ModelConfig config, Backend& backend);

  /// Takes the tensors whose names start with `prefix` ("blk.3.").
  virtual Status load_layer(WeightLoader& loader, const std::string& prefix) = 0;

  /// Takes x_ through a layer: writes its K and V to the cache, and drops the rows that no
  /// logits are wanted of in the last one. False: no row is left.
  virtual bool forward_layer(int layer, const Batch& batch, KvCache& cache) = 0;
  /// Where a layer stands among those that were loaded.
  std::size_t index_of(int layer) const { return static_cast<std::size_t>(layer - first_layer_); }
  int layer_at(std::size_t index) const { return first_layer_ + static_cast<int>(index); }
  bool is_last(int layer) const { return layer + 1 == config_.layers; }

  /// What lies before the first layer beside the tokens' embeddings, and after the last: the
  /// final norm and the head.
  virtual Status load_ends(WeightLoader& loader);

  /// The architecture's own activations.
  virtual Status allocate_own(std::int64_t) { return {}; }
  Result<Matrix> workspace_matrix(std::int64_t rows, std::int64_t cols, const char* what);

  /// x_ = embeddings of the batch (and of its positions, where they are learned).
  virtual void embed_tokens(const Batch& batch);
  /// The architecture's kind of norm; out may be x.
  void norm(Matrix x, const NormWeights& w, Matrix out);
  /// q_, k_, v_ = x times the layer's projections.
  void project(Matrix x, const AttentionWeights& w);
  /// The product that a residual connection adds to x_.
  LinearOutput added(const PackedWeight& weight,
                     const std::unique_ptr<DeviceBuffer>& bias = nullptr,
                     float scale = 1.0F) const {
    return {&weight, x_, floats(bias), /*add=*/true, scale};
  }
  /// Rotates q_ and k_ in the layer's way, if the architecture rotates.
  void rotate(int layer);
  /// Stores k_ and v_; attention_ = what the rows of q_ make of all that the cache holds.
  /// `sinks` [num_heads], or null.
  void attend(const Batch& batch, KvCache& cache, int layer, const float* sinks = nullptr);
  /// Drops the rows of x_, h_ and attention_ that no logits are wanted of: after the last
  /// layer's cache is written nothing else needs them. False if none is left.
  bool keep_logit_rows(const Batch& batch);
  /// h_ = the final norm over x_.
  virtual void finish();

  Backend& ops_;
  const ModelConfig config_;

  // Activations of one step, [rows of the batch][...].
  Matrix x_;           ///< [hidden_size], the residual stream
  Matrix h_;           ///< [hidden_size], normalised
  Matrix q_;           ///< [num_heads * head_dim]
  Matrix k_;           ///< [num_kv_heads * head_dim]
  Matrix v_;           ///< [num_kv_heads * value_dim]; no columns where the cache is latent
  Matrix attention_;   ///< [num_heads * value_dim]
  Matrix ffn_;         ///< [ffn_size]
  Matrix rope_;        ///< [rope.dims], cosines then sines
  Matrix local_rope_;  ///< likewise, for layers with a window; no columns: they use rope_

  Mixture mixture_;  ///< where layers have experts

  std::unique_ptr<PackedWeight> embedding_;
  std::unique_ptr<PackedWeight> positions_;  ///< [positions][hidden], or null

 private:
  std::int64_t max_positions(const LoadOptions& options) const {
    return options.max_positions > 0 ? options.max_positions : config_.context_length;
  }
  /// The frequencies of the rotation, or the table of learned positions.
  Status load_positions(WeightLoader& loader, const LoadOptions& options);
  Status allocate_workspace(const LoadOptions& options);
  void set_rows(std::int64_t rows);
  /// rope_ and local_rope_ = the angles of the batch's positions.
  void compute_angles(const Batch& batch);

  std::vector<float> inverse_frequencies_, local_inverse_frequencies_;
  std::vector<std::int32_t> position_ids_;     ///< of a batch, where positions are learned
  std::unique_ptr<PackedWeight> untied_head_;  ///< null: the embedding is the head
  std::unique_ptr<DeviceBuffer> head_bias_;    ///< [vocab_size], or null
  NormWeights final_norm_;
  std::vector<std::unique_ptr<DeviceBuffer>> workspace_;
  Matrix logits_;  ///< [max_logit_rows][vocab_size]
  int first_layer_ = 0;
  std::size_t weight_bytes_ = 0;
  PackedCacheReport packed_cache_;
};

}  // namespace ridgeline
