#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"
#include "ridgeline/model/model.h"
#include "ridgeline/tools/predict_speed.h"

namespace ridgeline {

/// The first layers of a model, as many as no cache holds where the whole model is larger than
/// that, to see what a layer takes beside multiplying by its weights: norms, rotation, cache,
/// attention, and waking threads. The model itself need not fit in memory.
class LayerProbe {
 public:
  /// A prompt's chunk, and how far into a context the second look at most is.
  static constexpr std::int64_t kManyRows = 128, kFar = 1024;

  /// Loads the layers. Errors: those of Model::load().
  static Result<std::unique_ptr<LayerProbe>> create(const Checkpoint& file,
                                                    const ModelConfig& config,
                                                    const BackendOptions& options);

  /// With a cache of `kv_type`. What is not the products' time by `rates` is the layers'.
  /// `slowdown` says how much longer than by `rates` a product of one row takes at this moment: it
  /// is asked in turn with the layers, since memory and neighbours change, and so are the `peaks`
  /// of arithmetic. Takes about `seconds`, where a prompt's chunk does not take much longer.
  Result<LayerRate> measure(DType kv_type, const SpeedRates& rates,
                            const std::function<double()>& slowdown, double seconds);
  /// Of a pass, beside layers and products: the way of a row's logits out of the backend.
  double head_seconds();

  int layers() const { return part_.end_layer; }

 private:
  LayerProbe(ModelConfig config) : config_(std::move(config)) {}
  /// One layer after the other, `rows` rows of a sequence from `position` on; seconds of all.
  double run(KvCache& cache, std::int64_t position, std::int64_t rows, double seconds);

  ModelConfig config_;
  ActivationPrecision activations_ = ActivationPrecision::kFast;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Model> model_;
  Model::Part part_;
  ModelWork work_;  ///< of the loaded layers
  std::int64_t many_rows_ = kManyRows, far_ = kFar;
  std::vector<float> x_;
};

}  // namespace ridgeline
