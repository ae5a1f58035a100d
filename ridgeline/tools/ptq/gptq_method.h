#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/ptq/gptq.h"
#include "ridgeline/tools/ptq/layerwise_pass.h"
#include "ridgeline/tools/ptq/method.h"

namespace ridgeline::ptq {

/// GPTQ, layer by layer: a layer's Hessians come from the inputs that the layers before it give
/// once they are quantized, and when all its matrices are rounded the layer runs again with
/// them. A layer's last matrix, ffn_down, is rounded after the others and for the inputs that they
/// give, and first changed to make up for what the residual stream has lost so far against a
/// second one, the original model's. The head, or the embedding where that is the head, follows the
/// last layer. What no product reads as a matrix (an untied embedding) is rounded by the usual
/// weights.
class GptqMethod final : public Method {
 public:
  struct Options {
    GptqOptions gptq{};
    std::function<void(double fraction)> progress{};
  };
  /// `plan` and `model` must outlive it. `reference`, or null, is another pass over the same
  /// windows, of the original: without it nothing is made up for.
  static Result<std::unique_ptr<GptqMethod>> make(const Checkpoint& model, const QuantizePlan& plan,
                                                  std::unique_ptr<LayerwisePass> pass,
                                                  std::unique_ptr<LayerwisePass> reference,
                                                  std::unique_ptr<LinearAlgebra> algebra,
                                                  Options options);
  std::string_view name() const override { return "gptq"; }
  Status quantize(const PlannedTensor& tensor, const Append& append,
                  TensorQuality& quality) override;
  std::vector<std::string> notes() const override { return notes_; }

 private:
  GptqMethod(const Checkpoint& model, const QuantizePlan& plan, std::unique_ptr<LayerwisePass> pass,
             std::unique_ptr<LayerwisePass> reference, std::unique_ptr<LinearAlgebra> algebra,
             Options options);
  struct Blocks {
    std::vector<std::byte> bytes;
    TensorQuality quality;
  };

  /// Until layers_done_ is `layer`; the layers before it, if there are any left, too.
  Status compute_until(int layer);
  Status compute_layer(int layer);
  Status compute_head(const PlannedTensor& head);
  /// The layer's tensor that compensates; null: none.
  const PlannedTensor* compensating_tensor(int layer) const;
  Status compute_compensating(int layer, const PlannedTensor& tensor,
                              const LayerwisePass::Replacements& replacements);
  /// `change` is added to the weights, unless it has no rows.
  Status round(const PlannedTensor& tensor, Gptq& solver, Blocks& out, Matrix change = {});
  /// Without a Hessian.
  Status round_by_weights(const PlannedTensor& tensor, Blocks& out);
  bool is_head(const PlannedTensor& tensor) const;
  void report(double within_layer);

  const Checkpoint& model_;
  const QuantizePlan& plan_;
  std::unique_ptr<LayerwisePass> pass_, reference_;
  std::unique_ptr<LinearAlgebra> algebra_;
  Options options_;
  int layers_done_ = 0;
  std::map<std::string, Blocks, std::less<>> ready_;
  std::vector<std::string> notes_;
};

}  // namespace ridgeline::ptq
