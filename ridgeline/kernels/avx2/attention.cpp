#include "ridgeline/kernels/impl/attention.h"

namespace ridgeline::avx2 {
const AttentionKernels kAttention = kAttentionKernels;
}
