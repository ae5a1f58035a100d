#pragma once

#include "ridgeline/kernels/impl/float_products.h"
#include "ridgeline/kernels/impl/formats.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

template <class F>
struct FloatEntry {
  static constexpr int kPrefetchRows = F::kDType == DType::kF32 ? 6 : 4;
  static constexpr WeightKernel make() { return weight_kernel<F, FloatKernel>(32, kPrefetchRows); }
};
template <class F>
struct ExactEntry {
  static constexpr WeightKernel make() {
    return weight_kernel<F, ExactKernel>(F::kElements, kMaxTileRows + 1);
  }
};
using FloatEntries = EntriesOf<FloatEntry, FloatFormats>;
using ExactEntries = EntriesOf<ExactEntry, QuantizedFormats>;

}  // namespace

const WeightKernels kFloatProducts{FloatEntries::kEntries, FloatEntries::kCount};
const WeightKernels kExactProducts{ExactEntries::kEntries, ExactEntries::kCount};

}  // namespace ridgeline::RIDGELINE_ISA
