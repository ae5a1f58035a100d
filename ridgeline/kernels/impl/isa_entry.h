#pragma once

#include "ridgeline/kernels/kernel_table.h"

// What the translation units of each ISA export: constants full of function
// pointers, initialised by the compiler, nothing else. tables.cpp, which is compiled
// for the baseline, puts a KernelTable together from them.

namespace ridgeline {

struct ElementwiseKernels {
  decltype(KernelTable::rms_norm) rms_norm;
  decltype(KernelTable::layer_norm) layer_norm;
  decltype(KernelTable::activate) activate;
  decltype(KernelTable::gate_mul) gate_mul;
  decltype(KernelTable::add) add;
  decltype(KernelTable::add_scaled) add_scaled;
  decltype(KernelTable::scale) scale;
  decltype(KernelTable::softcap) softcap;
  decltype(KernelTable::rope_interleaved) rope_interleaved;
  decltype(KernelTable::rope_half) rope_half;
};

struct AttentionKernels {
  decltype(KernelTable::attention_state_floats) state_floats;
  decltype(KernelTable::attention_scratch_floats) scratch_floats;
  decltype(KernelTable::attention_tile_positions) tile_positions;
  decltype(KernelTable::attention_span) span;
  decltype(KernelTable::attention_merge) merge;
  decltype(KernelTable::attention_finish) finish;
};

struct KvKernels {
  const KvKernel* kernels;
  int count;
};

struct ActivationKernels {
  const ActivationKernel* kernels;
  int count;
};

struct WeightKernels {
  const WeightKernel* kernels;
  int count;
};

struct PeakKernels {
  const PeakKernel* kernels;
  int count;
};

// kernels/<isa>/elementwise.cpp, attention.cpp, attention_q8.cpp, kv.cpp: the ISAs without a line
// here use those of the family that they extend.
#define RIDGELINE_DECLARE_VECTOR_KERNELS(isa)   \
  namespace isa {                               \
  extern const ElementwiseKernels kElementwise; \
  extern const AttentionKernels kAttention;     \
  void attend_q8(const AttentionSpan& span);    \
  extern const KvKernels kKv;                   \
  }
RIDGELINE_DECLARE_VECTOR_KERNELS(generic)
RIDGELINE_DECLARE_VECTOR_KERNELS(avx2)
RIDGELINE_DECLARE_VECTOR_KERNELS(avx512)
#undef RIDGELINE_DECLARE_VECTOR_KERNELS

// kernels/avx512vnni/attention_q8.cpp: byte dot products on a Q8_0 cache, the rest as avx512.
namespace avx512vnni {
std::size_t attention_scratch_floats(int head_dim, int value_dim, bool latent);
void attention_span(const AttentionSpan& span);
}  // namespace avx512vnni

// kernels/<isa>/peak.cpp: every ISA has its own.
#define RIDGELINE_DECLARE_PEAKS(isa) \
  namespace isa {                    \
  extern const PeakKernels kPeaks;   \
  }
RIDGELINE_DECLARE_PEAKS(generic)
RIDGELINE_DECLARE_PEAKS(avx2)
RIDGELINE_DECLARE_PEAKS(avx2vnni)
RIDGELINE_DECLARE_PEAKS(avx512)
RIDGELINE_DECLARE_PEAKS(avx512vnni)
RIDGELINE_DECLARE_PEAKS(avx512bf16)
#undef RIDGELINE_DECLARE_PEAKS

// kernels/<isa>/activations.cpp, float_products.cpp (float weights, and the exact
// treatment of quantized ones), integer_products.cpp and int8_products.cpp.
namespace generic {
extern const ActivationKernels kActivations;
extern const WeightKernels kFloatProducts;
extern const WeightKernels kExactProducts;
extern const WeightKernels kIntegerProducts;
extern const WeightKernels kInt8Products;
}  // namespace generic
namespace avx2 {
extern const ActivationKernels kActivations;
extern const WeightKernels kFloatProducts;
extern const WeightKernels kExactProducts;
extern const WeightKernels kIntegerProducts;
extern const WeightKernels kInt8Products;
}  // namespace avx2
namespace avx2vnni {
extern const WeightKernels kIntegerProducts;
extern const WeightKernels kInt8Products;
}  // namespace avx2vnni
namespace avx512 {
extern const ActivationKernels kActivations;
extern const WeightKernels kFloatProducts;
extern const WeightKernels kExactProducts;
extern const WeightKernels kIntegerProducts;
extern const WeightKernels kInt8Products;
}  // namespace avx512
namespace avx512vnni {
extern const WeightKernels kIntegerProducts;
extern const WeightKernels kInt8Products;
}  // namespace avx512vnni
namespace avx512bf16 {
extern const ActivationKernels kActivations;  // adds kBF16
extern const WeightKernels kBf16Products;
}  // namespace avx512bf16

}  // namespace ridgeline
