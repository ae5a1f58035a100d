#include "ridgeline/tools/doctor/model_rates.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

#include "ridgeline/model/pack_plan.h"
#include "ridgeline/tools/layer_probe.h"
#include "ridgeline/tools/repeat_timing.h"

namespace ridgeline::doctor {
namespace {

/// Outputs of a measured product at most: more only takes longer.
constexpr std::int64_t kOutputsMax = 4096;
constexpr double kLayerSeconds = 0.6, kProductSeconds = 0.3, kOtherProductSeconds = 0.1,
                 kSlowdownSeconds = 0.015;
/// Of all weights, what a type must have to be worth a closer look.
constexpr double kSmallShare = 0.02;

constexpr std::array<std::int64_t, 9> kManyKnots{1, 2, 4, 8, 16, 32, 64, 128, 512};
constexpr std::array<std::int64_t, 4> kFewKnots{1, 8, 32, 512};

/// Those up to what a step may hold.
std::vector<std::int64_t> knots_up_to(std::span<const std::int64_t> all, std::int64_t most) {
  std::vector<std::int64_t> rows;
  for (const std::int64_t n : all)
    if (n < most) rows.push_back(n);
  rows.push_back(std::max<std::int64_t>(1, std::min(most, all.back())));
  return rows;
}

}  // namespace

ProductShape common_shape(std::span<const TensorView> tensors, ActivationPrecision activations,
                          const MatrixType* type) {
  std::map<std::pair<std::int64_t, std::int64_t>, double> weights;
  for (const TensorView& tensor : tensors) {
    const std::int64_t matrices = matrices_in(tensor);
    if (matrices == 0 || (type != nullptr && product_type(tensor, activations) != *type)) continue;
    // Experts are multiplied by in one go, as if they were one matrix.
    const std::int64_t outputs =
        is_expert_tensor(tensor.name) ? tensor.rows() : tensor.rows() / matrices;
    weights[{outputs, tensor.cols()}] += static_cast<double>(tensor.elements());
  }
  const auto most = std::ranges::max_element(weights, {}, [](const auto& w) { return w.second; });
  if (most == weights.end()) return {};
  return {std::min(most->first.first, kOutputsMax), most->first.second};
}

Status add_rates(std::span<const TensorView> tensors, const EngineOptions& options,
                 std::span<const MatrixType> types, ProductProbe& probe, SpeedRates& rates) {
  const ProductShape shape = common_shape(tensors, options.backend.activations);
  for (const MatrixType type : types) {
    if (rates.find(type) != nullptr) continue;
    RIDGELINE_TRY(ProductRate rate, probe.measure(type, shape.outputs, shape.inputs,
                                                  knots_up_to(kFewKnots, options.batch_tokens),
                                                  kOtherProductSeconds));
    rates.products.push_back(std::move(rate));
  }
  return {};
}

Result<ModelRates> measure_rates(const ModelConfig& config, const Checkpoint& file,
                                 const EngineOptions& options, ProductProbe& probe) {
  const std::span<const TensorView> tensors = file.tensors();
  const ModelWork work = model_work(config, tensors, options.backend.activations, 0);
  std::map<MatrixType, double> counts;
  double all = 0;
  for (const ModelWork::Weights& weights : work.weights) {
    counts[weights.type] += weights.count;
    all += weights.count;
  }
  SpeedRates rates;
  for (const auto& [type, count] : counts) {
    const ProductShape shape = common_shape(tensors, options.backend.activations, &type);
    const bool small = count < kSmallShare * all;
    const std::span<const std::int64_t> knots =
        small ? std::span<const std::int64_t>(kFewKnots) : kManyKnots;
    RIDGELINE_TRY(ProductRate rate, probe.measure(type, shape.outputs, shape.inputs,
                                                  knots_up_to(knots, options.batch_tokens),
                                                  small ? kOtherProductSeconds : kProductSeconds));
    rates.products.push_back(std::move(rate));
  }
  ModelRates measured;
  RIDGELINE_TRY(const auto layers, LayerProbe::create(file, config, options.backend));
  const auto most = std::ranges::max_element(counts, {}, [](const auto& c) { return c.second; });
  const ProductShape shape = common_shape(tensors, options.backend.activations, &most->first);
  RIDGELINE_TRY(const auto product, probe.prepare(most->first, shape.outputs, shape.inputs, 1));
  const double by_rates =
      rates.find(most->first)->seconds_per_weight(1, rates.memory()) * product->weights();
  const auto slowdown = [&] {
    return seconds_of_call([&] { product->multiply(1); }, kSlowdownSeconds) / by_rates;
  };
  const auto measure = [&](DType kv_type, double seconds) {
    return layers->measure(kv_type, rates, slowdown, seconds);
  };
  RIDGELINE_TRY(rates.layer, measure(options.kv_type, kLayerSeconds));
  RIDGELINE_TRY(measured.small_layer, measure(DType::kQ8_0, kLayerSeconds / 2));
  rates.head_seconds = layers->head_seconds();
  measured.rates = std::move(rates);
  return measured;
}

}  // namespace ridgeline::doctor
