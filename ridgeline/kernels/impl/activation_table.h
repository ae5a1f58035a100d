#pragma once

#include "ridgeline/kernels/impl/pack_activations.h"
#include "ridgeline/kernels/impl/pack_int8.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

constexpr ActivationKernel kPackers[] = {
    activation_kernel<ActivationFormat::kF32, pack_f32>(),
    activation_kernel<ActivationFormat::kQ8x32, pack_q8x32>(),
    activation_kernel<ActivationFormat::kQ8x256, pack_q8x256>(),
    activation_kernel<ActivationFormat::kInt8Row, pack_int8<false>>(),
    activation_kernel<ActivationFormat::kInt8RowOutliers, pack_int8<true>>(),
};

}  // namespace

const ActivationKernels kActivations{kPackers, 5};

}  // namespace ridgeline::RIDGELINE_ISA
