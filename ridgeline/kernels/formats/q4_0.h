#pragma once

#include "ridgeline/kernels/formats/nibbles.h"
#include "ridgeline/quant/q4_0.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

struct Q4_0 : NibbleBlocks<BlockQ4_0> {
  static constexpr DType kDType = DType::kQ4_0;
  static constexpr int kMaxLevel = 15;
  static constexpr int kZeroShift = 3;  ///< level 8 = 1 << 3 stands for 0
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
