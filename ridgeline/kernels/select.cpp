#include <algorithm>
#include <optional>
#include <vector>

#include "ridgeline/kernels/tables.h"

namespace ridgeline {

std::span<const KernelTable* const> available_kernels() {
  static const std::vector<const KernelTable*> tables = [] {
    std::vector<const KernelTable*> found;
    for (const BuiltIsa& isa : built_tables())
      if (isa.runs_on(cpu_features())) found.push_back(&isa.table());
    return found;
  }();
  return tables;
}

std::span<const std::string_view> built_isas() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> found;
    for (const BuiltIsa& isa : built_tables()) found.push_back(isa.name);
    return found;
  }();
  return names;
}

const KernelTable* find_kernels(std::string_view isa) {
  const auto tables = available_kernels();
  if (isa.empty()) return tables.front();
  const auto it = std::ranges::find(tables, isa, [](const KernelTable* t) { return t->name; });
  return it == tables.end() ? nullptr : *it;
}

const WeightKernel* find_weight_kernel(const KernelTable& table, DType weight,
                                       ActivationPrecision activations) {
  const auto first = [&](std::optional<ActivationFormat> format) -> const WeightKernel* {
    for (const WeightKernel& kernel : table.weights)
      if (kernel.weight == weight && (!format || kernel.activation == *format)) return &kernel;
    return nullptr;
  };
  const WeightKernel* kernel = nullptr;
  switch (activations) {
    case ActivationPrecision::kExact:
      return first(ActivationFormat::kF32);
    case ActivationPrecision::kInt8:
      kernel = first(ActivationFormat::kInt8Row);
      break;
    case ActivationPrecision::kLlmInt8:
      kernel = first(ActivationFormat::kInt8RowOutliers);
      break;
    case ActivationPrecision::kFast:
      break;
  }
  return kernel != nullptr ? kernel : first(std::nullopt);
}

const ActivationKernel* find_activation_kernel(const KernelTable& table, ActivationFormat format) {
  const auto it = std::ranges::find(table.activations, format, &ActivationKernel::format);
  return it == table.activations.end() ? nullptr : &*it;
}

const KvKernel* find_kv_kernel(const KernelTable& table, DType dtype) {
  const auto it = std::ranges::find(table.kv, dtype, &KvKernel::dtype);
  return it == table.kv.end() ? nullptr : &*it;
}

}  // namespace ridgeline
