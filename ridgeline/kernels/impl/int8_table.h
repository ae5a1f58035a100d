#pragma once

#include "ridgeline/kernels/impl/int8_products.h"
#include "ridgeline/kernels/impl/isa_entry.h"
#include "ridgeline/kernels/impl/weights.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

using F16Rows = Int8Row<F16Halves>;
using BF16Rows = Int8Row<BF16Halves>;

template <class F, template <class, int> class Kernel>
constexpr WeightKernel int8_kernel() {
  constexpr int kPrefetchRows = 5;  // as for Q8_0, which reads as many bytes (integer_table.h)
  return weight_kernel<F, Kernel>(kInt8Block, kPrefetchRows,
                                  {F::panel_bytes, F::read_bytes, F::pack_panel, F::decode_row});
}

constexpr WeightKernel kInt8Entries[] = {
    int8_kernel<F16Rows, Int8Kernel>(),
    int8_kernel<F16Rows, LlmInt8Kernel>(),
    int8_kernel<BF16Rows, Int8Kernel>(),
    int8_kernel<BF16Rows, LlmInt8Kernel>(),
};

}  // namespace

const WeightKernels kInt8Products{kInt8Entries, 4};

}  // namespace ridgeline::RIDGELINE_ISA
