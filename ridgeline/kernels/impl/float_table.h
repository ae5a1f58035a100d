#pragma once

#include "ridgeline/kernels/impl/float_products.h"
#include "ridgeline/kernels/impl/formats.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

template <class F>
struct FloatEntry {
  static constexpr WeightKernel make() { return weight_kernel<F, FloatKernel>(32, 4); }
};
template <class F>
struct ExactEntry {
  static constexpr WeightKernel make() { return weight_kernel<F, ExactKernel>(F::kElements, 4); }
};
using FloatEntries = EntriesOf<FloatEntry, FloatFormats>;
using ExactEntries = EntriesOf<ExactEntry, QuantizedFormats>;

}  // namespace

const WeightKernels kFloatProducts{FloatEntries::kEntries, FloatEntries::kCount};
const WeightKernels kExactProducts{ExactEntries::kEntries, ExactEntries::kCount};

}  // namespace ridgeline::RIDGELINE_ISA
