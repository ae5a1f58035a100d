#pragma once

#include <cstdint>
#include <span>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/engine.h"
#include "ridgeline/tools/predict_speed.h"
#include "ridgeline/tools/product_probe.h"

namespace ridgeline::doctor {

/// A matrix's shape.
struct ProductShape {
  std::int64_t outputs = 0, inputs = 0;
};
/// That in which most of these weights lie: of a type, or of all. Zeros where there is none.
ProductShape common_shape(std::span<const TensorView> tensors, ActivationPrecision activations,
                          const MatrixType* type = nullptr);

/// What predictions for a model are computed from.
struct ModelRates {
  SpeedRates rates;
  LayerRate small_layer;  ///< with the KV cache in Q8_0
};
/// Measures its layers, and the products of each type of its weights. A few seconds. Errors: no
/// kernel for a type; no memory.
Result<ModelRates> measure_rates(const ModelConfig& config, const Checkpoint& file,
                                 const EngineOptions& options, ProductProbe& probe);
/// Adds types that the model does not have, with fewer points between one row and many.
Status add_rates(std::span<const TensorView> tensors, const EngineOptions& options,
                 std::span<const MatrixType> types, ProductProbe& probe, SpeedRates& rates);

}  // namespace ridgeline::doctor
