#include "ridgeline/kernels/impl/elementwise.h"

namespace ridgeline::avx2 {
const ElementwiseKernels kElementwise = kElementwiseKernels;
}
