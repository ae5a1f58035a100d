#include "ridgeline/kernels/impl/attention.h"

namespace ridgeline::generic {
const AttentionKernels kAttention = kAttentionKernels;
}
