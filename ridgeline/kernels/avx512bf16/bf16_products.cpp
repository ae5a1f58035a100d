#include "ridgeline/kernels/impl/bf16_products.h"

#include "ridgeline/kernels/impl/isa_entry.h"
#include "ridgeline/kernels/impl/pack_activations.h"

namespace ridgeline::RIDGELINE_ISA {
namespace {

constexpr WeightKernel kProducts[] = {
    weight_kernel<BF16, Bf16Kernel>(32, 6),
};
constexpr ActivationKernel kPackers[] = {
    activation_kernel<ActivationFormat::kBF16, pack_bf16>(),
};

}  // namespace

const WeightKernels kBf16Products{kProducts, 1};
const ActivationKernels kActivations{kPackers, 1};

}  // namespace ridgeline::RIDGELINE_ISA
