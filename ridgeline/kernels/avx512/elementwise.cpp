#include "ridgeline/kernels/impl/elementwise.h"

namespace ridgeline::avx512 {
const ElementwiseKernels kElementwise = kElementwiseKernels;
}
