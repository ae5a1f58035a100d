#include "ridgeline/kernels/impl/elementwise.h"

namespace ridgeline::generic {
const ElementwiseKernels kElementwise = kElementwiseKernels;
}
