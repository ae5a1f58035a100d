#pragma once

#include "ridgeline/kernels/impl/formats.h"
#include "ridgeline/kernels/impl/integer_products.h"
#include "ridgeline/kernels/impl/weights.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

template <class F, int kRows>
struct IntegerKernel {
  static constexpr ActivationFormat kActivation =
      kHasSubBlocks<F> ? ActivationFormat::kQ8x256 : ActivationFormat::kQ8x32;
  static constexpr TileKernel run = [] {
    if constexpr (kHasSubBlocks<F>)
      return tile256<F, kRows>;
    else
      return tile32<F, kRows>;
  }();
};

template <class F>
struct IntegerEntry {
  // Measured on Zen 4: with fewer rows memory is the limit, and prefetching only adds to
  // its work. A byte per weight reaches that limit later than half a byte.
  static constexpr std::size_t kBytesPer32 = [] {
    if constexpr (kHasSubBlocks<F>)
      return F::kBlockBytes / 8;
    else
      return F::kBytesPer32;
  }();
  static constexpr int kPrefetchRows = kBytesPer32 > 32 * kPanelWidth ? 5 : 4;
  static constexpr WeightKernel make() {
    return weight_kernel<F, IntegerKernel>(F::kElements, kPrefetchRows);
  }
};
using IntegerEntries = EntriesOf<IntegerEntry, QuantizedFormats>;

}  // namespace

const WeightKernels kIntegerProducts{IntegerEntries::kEntries, IntegerEntries::kCount};

}  // namespace ridgeline::RIDGELINE_ISA
