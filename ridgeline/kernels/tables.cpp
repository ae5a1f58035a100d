#include "ridgeline/kernels/tables.h"

#include <array>
#include <initializer_list>
#include <vector>

#include "ridgeline/kernels/impl/isa_entry.h"

namespace ridgeline {
namespace {

/// A table and the lists it points into.
struct Assembled {
  std::vector<ActivationKernel> activations;
  std::vector<WeightKernel> weights;
  KernelTable table{};
};

/// `products` in order of preference: the first entry of a weight type is its best.
Assembled assemble(std::string_view name, int panel_width,
                   std::initializer_list<ActivationKernels> activations,
                   std::initializer_list<WeightKernels> products, const KvKernels& kv,
                   const ElementwiseKernels& elementwise, const AttentionKernels& attention) {
  Assembled a;
  for (const ActivationKernels& list : activations)
    a.activations.insert(a.activations.end(), list.kernels, list.kernels + list.count);
  for (const WeightKernels& list : products)
    a.weights.insert(a.weights.end(), list.kernels, list.kernels + list.count);
  a.table = KernelTable{
      .name = name,
      .panel_width = panel_width,
      .activations = a.activations,
      .weights = a.weights,
      .kv = {kv.kernels, static_cast<std::size_t>(kv.count)},
      .rms_norm = elementwise.rms_norm,
      .silu_mul = elementwise.silu_mul,
      .add = elementwise.add,
      .rope_interleaved = elementwise.rope_interleaved,
      .rope_half = elementwise.rope_half,
      .attention_state_floats = attention.state_floats,
      .attention_scratch_floats = attention.scratch_floats,
      .attention_tile_positions = attention.tile_positions,
      .attention_span = attention.span,
      .attention_merge = attention.merge,
      .attention_finish = attention.finish,
  };
  return a;
}

const KernelTable& generic_table() {
  static const Assembled a =
      assemble("generic", 8, {generic::kActivations},
               {generic::kIntegerProducts, generic::kFloatProducts}, generic::kKv,
               generic::kElementwise, generic::kAttention);
  return a.table;
}

constexpr std::array kBuilt{
    BuiltIsa{"generic", [](const CpuFeatures&) { return true; }, generic_table},
};

}  // namespace

std::span<const BuiltIsa> built_tables() { return kBuilt; }

}  // namespace ridgeline
