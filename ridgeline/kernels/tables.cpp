#include "ridgeline/kernels/tables.h"

#include <array>
#include <initializer_list>
#include <vector>

#include "ridgeline/kernels/impl/isa_entry.h"

namespace ridgeline {
namespace {

/// Rows of a panel, in every ISA: kernels/impl/panel.h.
constexpr int kPanelWidth = 16;

/// A table and the lists it points into.
struct Assembled {
  std::vector<ActivationKernel> activations;
  std::vector<WeightKernel> weights;
  KernelTable table{};
};

/// `products` in order of preference: the first entry of a weight type is its best. What only
/// --activations int8 and llm.int8 ask for is last.
Assembled assemble(std::string_view name, std::initializer_list<ActivationKernels> activations,
                   std::initializer_list<WeightKernels> products, const KvKernels& kv,
                   const ElementwiseKernels& elementwise, const AttentionKernels& attention,
                   const PeakKernels& peaks) {
  Assembled a;
  for (const ActivationKernels& list : activations)
    a.activations.insert(a.activations.end(), list.kernels, list.kernels + list.count);
  for (const WeightKernels& list : products)
    a.weights.insert(a.weights.end(), list.kernels, list.kernels + list.count);
  a.table = KernelTable{
      .name = name,
      .panel_width = kPanelWidth,
      .activations = a.activations,
      .weights = a.weights,
      .kv = {kv.kernels, static_cast<std::size_t>(kv.count)},
      .peaks = {peaks.kernels, static_cast<std::size_t>(peaks.count)},
      .rms_norm = elementwise.rms_norm,
      .layer_norm = elementwise.layer_norm,
      .activate = elementwise.activate,
      .gate_mul = elementwise.gate_mul,
      .add = elementwise.add,
      .add_scaled = elementwise.add_scaled,
      .scale = elementwise.scale,
      .softcap = elementwise.softcap,
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
      assemble("generic", {generic::kActivations},
               {generic::kIntegerProducts, generic::kFloatProducts, generic::kExactProducts,
                generic::kInt8Products},
               generic::kKv, generic::kElementwise, generic::kAttention, generic::kPeaks);
  return a.table;
}

const KernelTable& avx2_table() {
  static const Assembled a = assemble(
      "avx2", {avx2::kActivations},
      {avx2::kIntegerProducts, avx2::kFloatProducts, avx2::kExactProducts, avx2::kInt8Products},
      avx2::kKv, avx2::kElementwise, avx2::kAttention, avx2::kPeaks);
  return a.table;
}

const KernelTable& avx2vnni_table() {
  static const Assembled a =
      assemble("avx2vnni", {avx2::kActivations},
               {avx2vnni::kIntegerProducts, avx2::kFloatProducts, avx2::kExactProducts,
                avx2vnni::kInt8Products},
               avx2::kKv, avx2::kElementwise, avx2::kAttention, avx2vnni::kPeaks);
  return a.table;
}

const KernelTable& avx512_table() {
  static const Assembled a =
      assemble("avx512", {avx512::kActivations},
               {avx512::kIntegerProducts, avx512::kFloatProducts, avx512::kExactProducts,
                avx512::kInt8Products},
               avx512::kKv, avx512::kElementwise, avx512::kAttention, avx512::kPeaks);
  return a.table;
}

/// avx512's, with byte dot products on a Q8_0 cache.
AttentionKernels avx512vnni_attention() {
  AttentionKernels attention = avx512::kAttention;
  attention.scratch_floats = avx512vnni::attention_scratch_floats;
  attention.span = avx512vnni::attention_span;
  return attention;
}

const KernelTable& avx512vnni_table() {
  static const Assembled a =
      assemble("avx512vnni", {avx512::kActivations},
               {avx512vnni::kIntegerProducts, avx512::kFloatProducts, avx512::kExactProducts,
                avx512vnni::kInt8Products},
               avx512::kKv, avx512::kElementwise, avx512vnni_attention(), avx512vnni::kPeaks);
  return a.table;
}

const KernelTable& avx512bf16_table() {
  static const Assembled a =
      assemble("avx512bf16", {avx512::kActivations, avx512bf16::kActivations},
               {avx512vnni::kIntegerProducts, avx512bf16::kBf16Products, avx512::kFloatProducts,
                avx512::kExactProducts, avx512vnni::kInt8Products},
               avx512::kKv, avx512::kElementwise, avx512vnni_attention(), avx512bf16::kPeaks);
  return a.table;
}

// The flags that kernels/CMakeLists.txt compiles each folder with. CpuFeatures::avx512
// stands for F, BW, DQ, VL and CD.
bool has_avx2(const CpuFeatures& cpu) { return cpu.avx2 && cpu.fma && cpu.f16c; }
bool has_avx512(const CpuFeatures& cpu) { return has_avx2(cpu) && cpu.avx512; }
bool has_avx512_vnni(const CpuFeatures& cpu) { return has_avx512(cpu) && cpu.avx512_vnni; }
bool has_avx2_vnni(const CpuFeatures& cpu) {
#if defined(RIDGELINE_EVEX_VNNI)
  return has_avx512_vnni(cpu);
#else
  return has_avx2(cpu) && cpu.avx_vnni;
#endif
}

constexpr std::array kBuilt{
    BuiltIsa{"avx512bf16",
             [](const CpuFeatures& cpu) { return has_avx512_vnni(cpu) && cpu.avx512_bf16; },
             avx512bf16_table},
    BuiltIsa{"avx512vnni", has_avx512_vnni, avx512vnni_table},
    BuiltIsa{"avx512", has_avx512, avx512_table},
    BuiltIsa{"avx2vnni", has_avx2_vnni, avx2vnni_table},
    BuiltIsa{"avx2", has_avx2, avx2_table},
    BuiltIsa{"generic", [](const CpuFeatures&) { return true; }, generic_table},
};

}  // namespace

std::span<const BuiltIsa> built_tables() { return kBuilt; }

}  // namespace ridgeline
