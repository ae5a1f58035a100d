#pragma once

#include "ridgeline/kernels/impl/pack_activations.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

constexpr ActivationKernel kPackers[] = {
    {ActivationFormat::kF32, tile_bytes_f32, pack_f32},
    {ActivationFormat::kQ8x32, tile_bytes_q8x32, pack_q8x32},
    {ActivationFormat::kQ8x256, tile_bytes_q8x256, pack_q8x256},
};

}  // namespace

const ActivationKernels kActivations{kPackers, 3};

}  // namespace ridgeline::RIDGELINE_ISA
