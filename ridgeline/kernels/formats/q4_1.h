#pragma once

#include "ridgeline/kernels/formats/nibbles.h"
#include "ridgeline/quant/q4_1.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// Scales and offsets, 16 F16 each, then the levels as in Q4_0.
struct Q4_1 : NibbleBlocks<BlockQ4_1, 64> {
  static constexpr DType kDType = DType::kQ4_1;
  static constexpr int kMaxLevel = 15;
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
