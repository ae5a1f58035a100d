#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"
#include "ridgeline/model/model.h"
#include "ridgeline/text/tokenizer.h"
#include "ridgeline/tools/ptq/importance_matrix.h"
#include "ridgeline/tools/ptq/layerwise_pass.h"

namespace ridgeline::ptq {

/// Measures what rounding one tensor alone does to a model's predictions: the mean divergence
/// KL(model || model with that tensor rounded), over some positions of a text. The whole model is
/// in memory, and the residual streams before every layer are kept, so that a tensor of layer l
/// costs the layers from l on.
class Sensitivity {
 public:
  /// `model` must outlive it. Errors: those of Model::load(); too little memory.
  static Result<std::unique_ptr<Sensitivity>> measure_from(
      const Checkpoint& model, ModelConfig config, std::vector<std::vector<TokenId>> windows,
      const BackendOptions& backend);

  /// In nats per position.
  Result<double> divergence(const TensorView& tensor, DType type, const ImportanceMatrix& matrix);

 private:
  Sensitivity(const Checkpoint& model, ModelConfig config)
      : model_(model), config_(std::move(config)) {}
  Result<std::unique_ptr<Model>> load(const Model::Part& part, const TensorView* replaced);
  Status start(const BackendOptions& backend);
  /// The head's input of the positions that count, from the stream after the last layer.
  std::vector<float> scored_rows(std::span<const float> x) const;
  /// Calls body(position, log-probabilities) for each of them.
  void for_predictions(Model& ends, std::span<const float> x,
                       const std::function<void(std::size_t, std::span<const float>)>& body);

  const Checkpoint& model_;
  ModelConfig config_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<KvCache> kv_cache_;
  std::vector<std::int32_t> block_ids_;
  Batch batch_;
  std::vector<std::unique_ptr<Model>> layers_;  ///< one each
  std::unique_ptr<Model> ends_;
  std::vector<std::vector<float>> before_;  ///< [layers] the stream before each
  std::vector<float> log_probabilities_;    ///< [scored positions][vocab_size], of the model
};

/// What a type of a tensor would cost.
struct TypeCost {
  DType type;
  std::size_t bytes;
  double loss;  ///< predicted divergence
};

/// The costs of candidate types: the divergence measured with `probe`, times how much more or
/// less each type's weighted rounding error is than the probe's, because the divergence grows
/// with the square of small errors.
Result<std::vector<TypeCost>> type_costs(Sensitivity& sensitivity, const TensorView& tensor,
                                         std::span<const DType> candidates, DType probe,
                                         const ImportanceMatrix& matrix);

}  // namespace ridgeline::ptq
