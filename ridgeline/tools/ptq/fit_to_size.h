#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/ptq/importance_matrix.h"
#include "ridgeline/tools/ptq/quantize_plan.h"
#include "ridgeline/tools/ptq/sensitivity.h"

namespace ridgeline::ptq {

/// Gives the plan's free tensors the types that are predicted to cost least, together with all
/// other tensors in at most `tensor_bytes`: each tensor's cost by type_costs(), the choice by
/// allocate_bits(). `progress` gets the share of tensors that were measured; `stop`, or null, is
/// looked at before each. Errors: fewer bytes than the smallest types take; those of Sensitivity.
Status fit_to_size(QuantizePlan& plan, std::uint64_t tensor_bytes, Sensitivity& sensitivity,
                   const ImportanceMatrix& matrix, const std::function<void(double)>& progress,
                   const std::atomic<bool>* stop);

}  // namespace ridgeline::ptq
