#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ridgeline/model/model_config.h"
#include "ridgeline/model/weight_loader.h"

namespace ridgeline {

/// A layer's mixture of experts: a router, the experts, and beside them, in some
/// architectures, a shared expert that sees every row.
struct MixtureWeights {
  std::unique_ptr<PackedWeight> router;          ///< [experts][hidden]
  std::unique_ptr<DeviceBuffer> router_bias;     ///< [experts], null where absent
  std::unique_ptr<DeviceBuffer> selection_bias;  ///< [experts], null where absent

  using Stack = std::vector<std::unique_ptr<PackedWeight>>;
  Stack gate, up;                                               ///< by expert: [ffn][hidden]
  Stack down;                                                   ///< by expert: [hidden][ffn]
  std::unique_ptr<DeviceBuffer> gate_bias, up_bias, down_bias;  ///< null where absent

  Stack shared_gate, shared_up, shared_down;    ///< one or none
  std::unique_ptr<PackedWeight> shared_router;  ///< [1][hidden]: how much the shared one counts
  Activation activation = Activation::kSilu;

  /// From a file that has the experts stacked (ffn_gate_exps), gate above up in one stack
  /// (ffn_gate_up_exps), or each by itself (ffn_gate.0, as files before 2024-04 have them).
  static Result<MixtureWeights> load(WeightLoader& loader, const std::string& prefix,
                                     const ModelConfig& config);
};

/// Computes mixtures, and holds what one step needs for that.
class Mixture {
 public:
  Status allocate(Backend& ops, const ModelConfig& config, std::int64_t max_rows);
  /// What the backend must reserve.
  static void extend(const ModelConfig& config, Backend::Limits& limits);
  std::size_t bytes() const;

  /// x += what the experts make of h.
  void add(Matrix h, const MixtureWeights& weights, Matrix x);

 private:
  struct Choice {
    std::unique_ptr<DeviceBuffer> experts, weights;
    int per_row = 0;
    ExpertChoice get() const;
  };
  Result<Choice> allocate_choice(std::int64_t max_rows, int per_row);

  Backend* ops_ = nullptr;
  RoutingRule routing_;
  std::unique_ptr<DeviceBuffer> logits_;  ///< [rows][experts]
  std::unique_ptr<DeviceBuffer> shared_;  ///< [rows][shared ffn]
  Choice choice_, shared_choice_;
};

}  // namespace ridgeline
