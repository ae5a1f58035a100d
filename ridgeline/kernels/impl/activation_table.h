#pragma once

#include "ridgeline/kernels/impl/pack_activations.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

constexpr ActivationKernel kPackers[] = {
    activation_kernel<ActivationFormat::kF32, pack_f32>(),
    activation_kernel<ActivationFormat::kQ8x32, pack_q8x32>(),
    activation_kernel<ActivationFormat::kQ8x256, pack_q8x256>(),
};

}  // namespace

const ActivationKernels kActivations{kPackers, 3};

}  // namespace ridgeline::RIDGELINE_ISA
