#pragma once

// Every weight format, one line each: float_products.cpp and integer_products.cpp of
// each ISA take their lists from here.

#include "ridgeline/kernels/formats/bf16.h"
#include "ridgeline/kernels/formats/f16.h"
#include "ridgeline/kernels/formats/f32.h"
#include "ridgeline/kernels/formats/int4.h"
#include "ridgeline/kernels/formats/iq2.h"
#include "ridgeline/kernels/formats/iq3.h"
#include "ridgeline/kernels/formats/iq4_nl.h"
#include "ridgeline/kernels/formats/iq4_xs.h"
#include "ridgeline/kernels/formats/mxfp4.h"
#include "ridgeline/kernels/formats/q2_k.h"
#include "ridgeline/kernels/formats/q3_k.h"
#include "ridgeline/kernels/formats/q4_0.h"
#include "ridgeline/kernels/formats/q4_1.h"
#include "ridgeline/kernels/formats/q4_k.h"
#include "ridgeline/kernels/formats/q5_0.h"
#include "ridgeline/kernels/formats/q5_1.h"
#include "ridgeline/kernels/formats/q5_k.h"
#include "ridgeline/kernels/formats/q6_k.h"
#include "ridgeline/kernels/formats/q8_0.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

template <class... F>
struct FormatList {};

using FloatFormats = FormatList<F32, F16, BF16>;
using QuantizedFormats =
    FormatList<Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4,
               IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, INT4_32, INT4_64, INT4_128>;

/// One table entry per format of the list: Entry<F>::make().
template <template <class> class Entry, class List>
struct EntriesOf;
template <template <class> class Entry, class... F>
struct EntriesOf<Entry, FormatList<F...>> {
  static constexpr int kCount = sizeof...(F);
  static constexpr WeightKernel kEntries[] = {Entry<F>::make()...};
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
