#pragma once

#include <cstdint>
#include <span>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/kv_plan.h"
#include "ridgeline/model/model_config.h"
#include "ridgeline/ops/backend.h"
#include "ridgeline/tensor/tensor_view.h"

namespace ridgeline::doctor {

/// Bytes of a model's weights as they lie in memory, once packed. `types` [tensors]: in place of
/// the tensors' own; empty: their own. Error: no kernel for a type.
Result<std::uint64_t> packed_weight_bytes(const Backend& backend,
                                          std::span<const TensorView> tensors,
                                          std::span<const DType> types = {});
/// What a step needs beside weights and KV cache, about: activations, their packed forms, logits.
std::uint64_t workspace_bytes(const ModelConfig& config, std::int64_t batch_tokens, int threads,
                              int max_sequences);

/// What goes into the memory that there is.
struct MemoryFit {
  std::uint64_t available_bytes = 0;  ///< of machine and cgroup, the less
  std::uint64_t weight_bytes = 0;
  std::uint64_t workspace_bytes = 0;
  KvSizes kv;
  std::int64_t trained_context = 0;

  /// The program itself, its vocabulary, and what the system wants to keep.
  static constexpr std::uint64_t kReserveBytes = std::uint64_t{96} << 20;
  /// A context that is of some use.
  static constexpr std::int64_t kLeastContext = 256;

  std::uint64_t fixed_bytes() const { return weight_bytes + workspace_bytes + kReserveBytes; }
  std::uint64_t left_for_kv() const;
  /// Of one sequence, no more than it was trained for; 0: none.
  std::int64_t longest_context() const;
  /// Sequences of `context` tokens each.
  int streams(std::int64_t context) const;
  bool fits() const;
  std::uint64_t bytes(std::int64_t context, int streams) const;
};

}  // namespace ridgeline::doctor
