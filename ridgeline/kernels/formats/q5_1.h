#pragma once

#include "ridgeline/kernels/formats/q5_0.h"
#include "ridgeline/quant/q5_1.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// Scales and offsets, 16 F16 each, then the levels as in Q5_0.
struct Q5_1 : FiveBitBlocks<BlockQ5_1, 64> {
  static constexpr DType kDType = DType::kQ5_1;
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
