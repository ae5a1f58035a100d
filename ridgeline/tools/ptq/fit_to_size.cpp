#include "ridgeline/tools/ptq/fit_to_size.h"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "ridgeline/tools/ptq/bit_allocation.h"

namespace ridgeline::ptq {
namespace {

// Each is faster or smaller than the ones behind it, and better than those before it. What is
// measured is the coarsest that leaves a working model: small losses drown in arithmetic's noise.
constexpr std::array kWideBlocks{DType::kQ2_K, DType::kQ3_K, DType::kQ4_K,
                                 DType::kQ5_K, DType::kQ6_K, DType::kQ8_0};
constexpr DType kWideProbe = DType::kQ3_K;
constexpr std::array kSmallBlocks{DType::kIQ4_NL, DType::kQ5_0, DType::kQ8_0};
constexpr DType kSmallProbe = DType::kIQ4_NL;

}  // namespace

Status fit_to_size(QuantizePlan& plan, std::uint64_t tensor_bytes, Sensitivity& sensitivity,
                   const ImportanceMatrix& matrix, const std::function<void(double)>& progress,
                   const std::atomic<bool>* stop) {
  std::vector<PlannedTensor*> tensors;
  std::uint64_t fixed_bytes = 0;
  for (PlannedTensor& t : plan.tensors()) {
    const bool fits = t.source->cols() % info(kSmallProbe).block_elements == 0;
    if (t.is_free && fits)
      tensors.push_back(&t);
    else
      fixed_bytes += t.bytes();
  }

  std::vector<std::vector<AllocationChoice>> choices;
  std::vector<std::vector<TypeCost>> costs;
  for (const PlannedTensor* t : tensors) {
    if (stop != nullptr && stop->load()) return fail("the choice of types was interrupted");
    const bool wide = t->source->cols() % info(kWideProbe).block_elements == 0;
    RIDGELINE_TRY(costs.emplace_back(),
                  type_costs(sensitivity, *t->source,
                             wide ? std::span<const DType>(kWideBlocks) : kSmallBlocks,
                             wide ? kWideProbe : kSmallProbe, matrix));
    auto& choice = choices.emplace_back();
    for (const TypeCost& cost : costs.back()) choice.push_back({cost.bytes, cost.loss});
    if (progress) progress(static_cast<double>(costs.size()) / static_cast<double>(tensors.size()));
  }

  if (tensor_bytes < fixed_bytes)
    return fail(
        fmt::format("a file of {} bytes of tensors: those that keep their type take {} "
                    "already",
                    tensor_bytes, fixed_bytes));
  RIDGELINE_TRY(const Allocation allocation, allocate_bits(choices, tensor_bytes - fixed_bytes));
  for (std::size_t i = 0; i < tensors.size(); ++i)
    tensors[i]->type = costs[i][allocation.chosen[i]].type;
  return {};
}

}  // namespace ridgeline::ptq
