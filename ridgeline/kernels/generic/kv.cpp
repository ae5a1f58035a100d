#include "ridgeline/kernels/impl/kv.h"

namespace ridgeline::generic {
const KvKernels kKv = {kKvKernelList,
                       static_cast<int>(sizeof kKvKernelList / sizeof *kKvKernelList)};
}
