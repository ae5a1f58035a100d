#include "ridgeline/kernels/impl/kv.h"

namespace ridgeline::avx512 {
const KvKernels kKv = {kKvKernelList,
                       static_cast<int>(sizeof kKvKernelList / sizeof *kKvKernelList)};
}
