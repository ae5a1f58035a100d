#include "ridgeline/kernels/impl/attention.h"

namespace ridgeline::avx512 {
const AttentionKernels kAttention = kAttentionKernels;
}
